"""Boxes teach a saliency network before the training."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from foveal.pipeline import Boxes, ZoomLoader
from foveal.sampler import BoxSaliency, SaliencyNet, SaliencySampler, SaliencyUNet, UniformSampler
from foveal.shards import ShardWriter
from foveal.tools import TrainOptions, train
from foveal.tools.training import train as _train
from foveal.tools.training._sheet import draw_validation
from tests.pipeline.making import encode
from tests.tools.training.runs import check_same_weights, lines

pytestmark = pytest.mark.usefixtures("no_sheets")

GREEN, BLUE = (0, 1, 0), (0, 0, 1)
OPTIONS = TrainOptions(
    out_size=16, epochs=1, batch_size=8, num_threads=1, lr=1e-2, boxes="json:boxes", teach_epochs=5
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    """Return images with two green and two blue spots, where the green ones have boxes; the first image has no boxes."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("spots") / "train.tar"
    with ShardWriter(path) as writer:
        for k in range(32):
            image = rng.integers(90, 110, (96, 128, 3)).astype(np.uint8)
            places = [(int(rng.integers(0, 84)), int(rng.integers(0, 116))) for _ in range(4)]
            for colour, (y, x) in zip([BLUE, BLUE, GREEN, GREEN], places, strict=True):
                image[y : y + 12, x : x + 12] = 220 * np.array(colour, np.uint8) + 20
            boxes = [[x, y, x + 12, y + 12] for y, x in places]
            writer.write(
                {
                    "__key__": f"{k:03d}",
                    "png": encode(image, "png"),
                    "cls": k % 2,
                    "json": {"boxes": boxes[2:] if k else [], "blue": boxes[:2]},
                }
            )
    return str(path)


def compiled(module):
    return torch.compile(module, backend="eager")


def share_of_the_green(zoom, url):
    """Return the share of the saliency near spots that is near the green ones."""
    fields = ("image", Boxes("json:boxes"), Boxes("json:blue"))
    with torch.no_grad(), ZoomLoader(url, UniformSampler(128), batch_size=32, fields=fields) as loader:
        images, *spots = next(iter(loader))
        maps = zoom.saliency.eval()(images).flatten(1).softmax(1).unflatten(1, (31, 31))
    green, blue = (float((maps * near(each.boxes))[1:].sum()) for each in spots)
    return green / (green + blue)


def near(boxes):
    """Return a mask of the cells in boxes of images of 128 pixels, and of the cells next to them."""
    inside = torch.zeros(len(boxes), 31, 31)
    for each, found in zip(inside, boxes, strict=True):
        for x0, y0, x1, y1 in (found / 128 * 30).int().tolist():
            each[y0 : y1 + 2, x0 : x1 + 2] = 1
    return inside


def test_it_looks_where_the_boxes_are(shards, tmp_path):
    """The taught network prefers green spots, which the spectral prior does not, and training starts from it."""
    last = train(shards, tmp_path / "run", options=OPTIONS)
    zoom = SaliencySampler.from_checkpoint(tmp_path / "run" / "saliency.pt")
    untaught = replace(OPTIONS, boxes=None, teach_epochs=8).make_zoom()

    assert isinstance(zoom.saliency, SaliencyUNet)
    assert share_of_the_green(zoom, shards) > 0.85
    assert share_of_the_green(untaught, shards) < 0.75  # the check can fail
    taught = lines(tmp_path / "run", "teach")
    assert [line["teach_epoch"] for line in taught] == [0, 1, 2, 3, 4]
    assert taught[-1]["loss"] < taught[0]["loss"] - 0.3
    assert last["epoch"] == 0


def test_a_wrapped_zoom_is_taught_and_drawn(shards, tmp_path):
    """A wrapped zoom of the caller's is taught by the boxes as the zoom inside is, and drawn."""
    zoom = torch.nn.DataParallel(SaliencySampler(16, saliency=SaliencyNet()))
    train(shards, tmp_path / "run", zoom=zoom, options=replace(OPTIONS, teach_epochs=1))
    draw_validation(shards, zoom.eval(), tmp_path / "sheet.png")

    assert len(lines(tmp_path / "run", "teach")) == 1
    assert (tmp_path / "sheet.png").is_file()


def test_a_run_killed_while_or_after_it_was_taught_ends_the_same(shards, tmp_path, monkeypatch):
    """A killed run ends bit-identical; teaching starts again if it was interrupted, and is not repeated if it was done."""
    options = replace(OPTIONS, teach_epochs=2)
    train(shards, tmp_path / "whole", options=options)
    whole_teach, whole_step = _train.teach, _train._Training.train_step

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    def teach_then_stop(*arguments, log, **named):
        def log_then_stop(*words, teach_epoch, **values):
            log(*words, teach_epoch=teach_epoch, **values)
            if teach_epoch == 0:
                raise KeyboardInterrupt

        whole_teach(*arguments, log=log_then_stop, **named)

    run = {"out": tmp_path / "run", "options": options, "resume": True}
    monkeypatch.setattr(_train, "teach", teach_then_stop)
    with pytest.raises(KeyboardInterrupt):
        train(shards, **run)
    monkeypatch.setattr(_train, "teach", whole_teach)
    monkeypatch.setattr(_train._Training, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(shards, **run)
    monkeypatch.setattr(_train, "teach", interrupted)
    monkeypatch.setattr(_train._Training, "train_step", whole_step)
    train(shards, **run)

    check_same_weights(tmp_path / "run", tmp_path / "whole")
    assert [line["teach_epoch"] for line in lines(tmp_path / "run", "teach")] == [0, 1]


@pytest.mark.parametrize(
    ("zoom", "name"),
    [
        (lambda: UniformSampler(16), "UniformSampler"),
        (lambda: SaliencySampler(16, saliency=BoxSaliency("json:boxes")), "BoxSaliency"),
        (
            lambda: compiled(SaliencySampler(16, saliency=compiled(BoxSaliency("json:boxes")))),
            "BoxSaliency",
        ),
        (lambda: SaliencySampler(16, saliency=SaliencyNet(), condition="cls"), "SaliencyNet"),
    ],
)
def test_a_zoom_that_boxes_cannot_teach(zoom, name, shards, tmp_path):
    """A zoom that boxes cannot teach is refused before training."""
    message = (
        "boxes must be None for a zoom whose saliency has no weights, or looks at more than the image, got "
        f"{name} – use SaliencySampler with SaliencyUNet."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, tmp_path / "run", zoom=zoom(), options=OPTIONS)


def test_a_frozen_network_cannot_be_taught(shards, tmp_path):
    """A frozen network is refused with a clear message."""
    zoom = SaliencySampler(16, saliency=SaliencyNet()).requires_grad_(requires_grad=False)
    message = (
        "boxes must be None for a frozen saliency network, got SaliencyNet without parameters that require gradients – "
        "call requires_grad_(True) on it."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, tmp_path / "run", zoom=zoom, options=OPTIONS)


def test_no_boxes_for_a_uniform_zoom():
    """Boxes are refused for a uniform zoom."""
    message = "boxes must be None for a uniform zoom, which has no saliency network, got 'json:boxes'."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TrainOptions(zoom="uniform", boxes="json:boxes")
