"""The tasks of foveal bench accuracy, and its table."""

import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from foveal.pipeline import Boxes, ZoomLoader
from foveal.sampler import SaliencySampler, UniformSampler
from foveal.shards import Shards, ShardWriter
from foveal.tools import TrainOptions
from foveal.tools.bench.accuracy import accuracy as _accuracy
from foveal.tools.bench.accuracy._tasks import COINS, make_task
from foveal.tools.bench.accuracy.accuracy import ARMS, OTHERS, ZOOMS, bench_accuracy
from foveal.tools.scenes.digit_scenes import DIGIT_PX, SCENE_PX, Digits, draw_digit_scene
from tests.pipeline.making import encode, picture

QUIET = Console(quiet=True)
SHORT = TrainOptions(batch_size=2, num_threads=1)


@pytest.fixture
def digits(tmp_path) -> Digits:
    """Return sixty made-up digits, white squares of as many pixels as their label says, in files like MNIST's."""
    images = np.zeros((60, 28, 28), np.uint8)
    labels = np.arange(60) % 10
    for image, label in zip(images, labels, strict=True):
        image[2 : 12 + label, 2 : 12 + label] = 255
    (tmp_path / "digits").mkdir()
    for part in ("train", "t10k"):
        for kind, head, values in (("images-idx3", 16, images), ("labels-idx1", 8, labels)):
            data = gzip.compress(bytes(head) + values.astype(np.uint8).tobytes())
            (tmp_path / "digits" / f"{part}-{kind}-ubyte.gz").write_bytes(data)
    return Digits.read(tmp_path / "digits", "train")


@pytest.mark.parametrize("colour", [True, False])
def test_a_scene(digits, colour):
    """The label is the digit in the box, which is coloured if the task says so; all else is grey."""
    scene, label, (x0, y0, x1, y1) = draw_digit_scene(np.random.default_rng(3), digits, colour=colour)
    again = draw_digit_scene(np.random.default_rng(3), digits, colour=colour)[0]
    spread = np.ptp(scene.astype(int), axis=2)
    side = (10 + label) * DIGIT_PX // 28

    assert scene.shape == (SCENE_PX, SCENE_PX, 3)
    assert np.array_equal(scene, again)
    assert (x1 - x0, y1 - y0) == (DIGIT_PX, DIGIT_PX)
    assert ((spread > 100).sum() > 0.9 * side**2) == colour
    if colour:
        rows, cols = np.nonzero(spread > 100)
        assert y0 <= rows.min()
        assert rows.max() < y1
        assert x0 <= cols.min()
        assert cols.max() < x1
        assert rows.max() - rows.min() + 1 == pytest.approx(side, abs=4)


def test_digits_that_are_not_there(tmp_path):
    """The error gives the folder, and how to name another."""
    message = (
        f"digits must be a folder with the four gz files of MNIST, got {str(tmp_path)!r} – name it with --data, or in "
        "FOVEAL_DATA."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Digits.read(tmp_path, "train")


@pytest.mark.usefixtures("no_sheets", "no_sheet")
def test_the_table(digits, tmp_path, capsys):
    """Every arm is trained once with every seed; the numbers are printed and written to the file."""
    arms = ["uniform", "kernel", "patches", "oracle"]
    settings = {
        "out": tmp_path / "out",
        "data": tmp_path,
        "sizes": [16],
        "arms": arms,
        "seeds": 2,
        "scenes": 4,
    }
    found = bench_accuracy(
        "digits-colour", **settings, epochs=1, options=SHORT, json_path=tmp_path / "a.json"
    )
    printed = capsys.readouterr().out
    again = bench_accuracy("digits-colour", **settings, epochs=1, options=SHORT, offline=True)
    told_again = capsys.readouterr().out

    assert list(found) == [f"{arm} 16" for arm in arms]
    assert all(len(accuracies) == 2 and all(0 <= a <= 1 for a in accuracies) for accuracies in found.values())
    assert again == found
    assert "epoch 1 of 1" in printed
    assert "epoch 1 of 1" not in told_again
    assert re.search(
        r"^digits-colour: 1 epochs of 4 images, accuracy on 1 others, of which 100.0% ", printed, re.MULTILINE
    )
    assert re.search(
        r"^kernel 16( +[\d.]+( %)?){4} +2 ", told_again, re.MULTILINE
    )  # its accuracy offline, too
    assert re.search(r"^kernel 16( +[\d.]+( %)?){3} +2 ", printed, re.MULTILINE)
    report = json.loads((tmp_path / "a.json").read_text())
    assert [line["val_accuracy"] for line in report["runs"]["oracle 16"]] == found["oracle 16"]
    assert report["options"]["batch_size"] == 2
    for arm, mean in ((arm, sum(values) / 2) for arm, values in found.items()):
        assert re.search(rf"^{arm} +{100 * mean:.1f} %", printed, re.MULTILINE)


def test_all_arms_begin_with_the_same_classifier(digits, tmp_path, monkeypatch):
    """With one seed only the zoom differs between arms, whatever weights the zoom draws; another seed has another classifier."""
    begun = []

    def watched(*_, model, **_others):
        begun.append(model.head.weight.detach().clone())
        return {"val_accuracy": 0.5, "train_images_per_s": 1.0, "val_cells": 1.0}

    monkeypatch.setattr(_accuracy, "train", watched)
    settings = {"out": tmp_path / "out", "data": tmp_path, "sizes": [16], "scenes": 4, "options": SHORT}
    bench_accuracy("digits", arms=["uniform", "kernel", "no-evidence", "oracle"], seeds=2, **settings)
    first, second = begun[:4], begun[4:]

    assert all(torch.equal(each, first[0]) for each in first)
    assert all(torch.equal(each, second[0]) for each in second)
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize(
    ("task", "arms", "message"),
    [
        (
            "digits",
            ["best"],
            f"arms must be of {', '.join(ARMS)}, got 'best'.",
        ),
        (
            "roads",
            ["uniform"],
            "data must be a folder with roads/*.tar, got '{data}' – name it with --data, or in FOVEAL_DATA.",
        ),
    ],
)
def test_what_cannot_be(digits, tmp_path, task, arms, message):
    """Invalid arguments are refused before anything is trained."""
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(data=tmp_path))}$"):
        bench_accuracy(task, out=tmp_path / "out", data=tmp_path, arms=arms, epochs=1, options=SHORT)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (["kernel", "best"], f"arms must be of {', '.join(ARMS)}, got 'best'."),
        (
            ["uniform", "oracle"],
            "arms must have one that learns a zoom with offline=True, got uniform, oracle – add kernel, or leave out --offline.",
        ),
    ],
)
def test_arms_are_refused_before_scenes_are_drawn(digits, tmp_path, arms, message):
    """An unknown arm, and arms of which none can be measured offline, are refused before anything is written."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bench_accuracy("digits", out=tmp_path / "out", data=tmp_path, arms=arms, offline=True, options=SHORT)
    assert not (tmp_path / "out").exists()


def test_arms_without_a_zoom_to_write_are_named(digits, tmp_path, capsys, monkeypatch):
    """With offline, the arms that have no zoom to write are named before anything is trained."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_accuracy, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench_accuracy("digits", out=tmp_path / "out", data=tmp_path, offline=True, scenes=4, options=SHORT)

    assert (
        "Not measured offline, because they learn no zoom that foveal zoom could take: uniform, oracle.\n"
        in capsys.readouterr().out
    )


@pytest.mark.usefixtures("no_sheets")
@pytest.mark.parametrize(("name", "folder"), [("pcb", "pcb"), ("coffee", "coffee-small")])
def test_shards_that_are_ready(name, folder, tmp_path):
    """Training uses the training part and measures on the test part; the validation part is not read."""
    (tmp_path / "field" / folder).mkdir(parents=True)
    for part, count in (("train", 4), ("val", 5), ("test", 3)):
        with ShardWriter(tmp_path / "field" / folder / f"{part}-000000.tar") as writer:
            for k in range(count):
                image = encode(picture(k, 40, 50), "PNG")
                writer.write(
                    {"__key__": f"{k}", "png": image, "cls": k % 2, "json": {"boxes": [[9, 9, 20, 20]]}}
                )
    task = make_task(name, tmp_path / "out", tmp_path, scenes=0, console=QUIET)
    found = bench_accuracy(
        name, out=tmp_path / "out", data=tmp_path, sizes=[16], seeds=1, epochs=1, options=SHORT
    )

    assert task.counts()[:2] == (4, 3)
    assert list(found) == ["uniform 16", "kernel 16", "oracle 16"]


def test_shards_that_are_not_there(tmp_path):
    """The error gives the folder, and how to name another."""
    message = (
        f"data must be a folder with field/pcb/train-*.tar and field/pcb/test-*.tar, got {str(tmp_path)!r} – name it with "
        "--data, or in FOVEAL_DATA."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_task("pcb", tmp_path, tmp_path, scenes=0, console=QUIET)


@pytest.mark.slow
def test_real_coins(data_dir, tmp_path):
    """Each tile shows one coin inside its box, and no photograph is in both parts."""
    task = make_task("coins", tmp_path, data_dir, scenes=0, console=QUIET)
    fields = ("image", "cls", "__key__", Boxes("json:boxes"))
    with ZoomLoader(task.val, UniformSampler(64), batch_size=16, fields=fields) as loader:
        images, labels, _, boxes = next(iter(loader))
    inside = torch.stack([_inside(image, box) for image, box in zip(images, boxes.boxes, strict=True)])

    assert task.classes == len(COINS)
    assert 0 <= int(labels.min()) <= int(labels.max()) < len(COINS)
    assert (inside > 1.5).float().mean() > 0.9
    photos = [{key[:3] for key in _keys(urls)} for urls in (task.train, task.val)]
    assert len(photos[0]) == 21
    assert len(photos[1]) == 7
    assert not photos[0] & photos[1]


def _inside(image, box):
    """Return how much more an image varies inside its box than beside it."""
    x0, y0, x1, y1 = box[0].round().int().tolist()
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return image[:, mask].std() / image[:, ~mask].std()


def _keys(urls) -> list[str]:
    with Shards(urls) as shards:
        return [shards.key(k) for k in range(len(shards))]


@pytest.mark.slow
def test_real_roads(data_dir, tmp_path):
    """About half of the tiles have a crack, and the oracle is refused, because there are no boxes."""
    task = make_task("roads", tmp_path, data_dir, scenes=0, console=QUIET)
    with Shards(task.train) as shards:
        labels = [int(sample.members["cls"]) for sample in shards]

    assert not task.has_boxes
    assert 0.25 < np.mean(labels) < 0.6
    message = "arms must be without oracle for a task without boxes, got 'oracle' – leave it out."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bench_accuracy("roads", out=tmp_path, data=data_dir, arms=["oracle"], epochs=1, options=SHORT)


def test_the_arms_are_what_they_say():
    """Each learned arm is the default except for what it is named after."""
    options = TrainOptions(out_size=16)
    zooms = {arm: replace(options, **changes).make_zoom().settings for arm, changes in ZOOMS.items()}
    changed = {
        arm: {name: value for name, value in settings.items() if value != zooms["kernel"][name]}
        for arm, settings in zooms.items()
    }

    assert {*OTHERS, *ZOOMS} == {*ARMS}
    assert zooms["kernel"] == options.make_zoom().settings
    assert changed["separable"] == {"family": "separable"}
    assert changed["cdf"] == {"family": "cdf"}
    assert changed["unbounded"] == {"max_zoom": None}
    assert changed["paper"] == {"fwhm_cells": 13.0, "max_zoom": None}
    assert changed["no-prior"] == {"temperature": 0.125}
    assert isinstance(OTHERS["oracle"](options), SaliencySampler)
    assert isinstance(OTHERS["uniform"](options), UniformSampler)
    assert OTHERS["full"](options).out_size == (1024, 1024)


def test_scenes_for_a_task_that_draws_none(tmp_path):
    """A number of scenes to draw is refused for photographs, before anything is written."""
    message = "scenes must be None for a task that draws none, got 4 with 'coins' – leave it out."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bench_accuracy("coins", out=tmp_path / "out", data=tmp_path, scenes=4, options=SHORT)
    assert not (tmp_path / "out").exists()
