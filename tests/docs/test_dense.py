"""The script of the page on detection and segmentation runs, and gives the figures on the page."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from foveal.pipeline import Boxes, Mask
from foveal.sampler import warp_boxes, warp_masks, zoom_grid
from tests.docs.blocks import python_blocks

PAGE = (Path(__file__).parents[2] / "docs" / "dense.md").read_text()
BLOCKS = python_blocks(PAGE)
CODE = "\n\n".join(block for block in BLOCKS if "torchmetrics" not in block)
[TORCHMETRICS] = [block for block in BLOCKS if "torchmetrics" in block]
STATED = [  # mean, least and most
    [tuple(map(float, re.findall(r"[\d.]+", cell))) for cell in row]
    for row in re.findall(r"^\| (?:detection|segmentation):[^|]+\|([^|]+)\|([^|]+)\|$", PAGE, re.MULTILINE)
]


BOXES = torch.tensor([[1.0, 2, 30, 40], [5, 5, 25, 60]])
MASKS = torch.eye(8, dtype=torch.int64).expand(2, -1, -1)


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> dict:
    """Return the variables of the script, run with few images and little training."""
    code = CODE
    for whole, small in (
        ("range(256)", "range(16)"),
        ("range(1000, 1064)", "range(1000, 1004)"),
        ("EPOCHS = 48, 8", "EPOCHS = 48, 1"),
    ):
        assert code.count(whole) == 1
        code = code.replace(whole, small)
    left, before = {}, Path.cwd()
    os.chdir(tmp_path_factory.mktemp("dense"))
    try:
        exec(compile(code, "dense.md", "exec"), left)
    finally:
        os.chdir(before)
    return left


def test_its_script_runs(names):
    """Both tasks run, with and without the zoom."""
    for name in ("uniform", "zoomed"):
        assert len(names["detection"][name]) == 4
        assert all(0 <= value <= 1 for value in names["segmentation"][name])


def test_its_saliency_learns(names):
    """Both losses have gradients for the saliency network."""
    assert names["zoom"].saliency.network.head.weight.grad.abs().sum() > 0
    assert names["edge_loss"](names["saliency"].detach(), names["whole"]) > 0


def test_perfect_predictions_fit(names, tmp_path, monkeypatch):
    """True labels of the zoomed frame, taken as predictions, come back as the true labels of the original."""
    monkeypatch.chdir(tmp_path)
    with names["ShardWriter"]("val.tar") as writer:
        for number in range(8):
            writer.write(names["draw"](number))
    zoom = names["ZOOMS"]["zoomed"]
    fields = ("image", Boxes("json:boxes"), Mask("mask.png"))
    with names["ZoomLoader"]("val.tar", zoom, batch_size=8, fields=fields) as loader:
        _, labels, masks = next(iter(loader))

    def box_net(_images):
        """Return a perfect detector's output: the true box in the cell of its centre."""
        values = torch.zeros(8, 5, 24, 24)
        for k, [box] in enumerate(labels.boxes):
            col, row = ((box[:2] + box[2:]) / 4).long().tolist()
            centre = torch.tensor([2 * col + 1, 2 * row + 1] * 2)
            values[k, :, row, col] = torch.cat([torch.ones(1), (box - centre) / 8])
        return values

    assert names["detection_ious"](zoom, box_net).min() > 0.999
    names["logits_in"] = lambda values: values  # as large as the input already
    ids, logits = names["segmentation_ious"](
        zoom, lambda _: torch.nn.functional.one_hot(masks, 2).movedim(3, 1).float()
    )
    assert min(ids, logits) > 0.8


def test_predictions_left_in_the_zoomed_frame_would_not_fit(names):
    """The metric is low if predictions are not brought back."""
    grid = zoom_grid(torch.rand(1, 1, 9, 9) ** 4, (48, 48), max_zoom=4.0)
    boxes = torch.tensor([[200.0, 200, 230, 220]])
    [warped], _ = warp_boxes([boxes], grid, (512, 512))
    mask = torch.zeros(512, 512, dtype=torch.int64)
    mask[200:220, 200:230] = 1
    [small] = warp_masks([mask], grid)
    evenly = torch.nn.functional.interpolate(small[None, None].float(), (512, 512))[0, 0] > 0

    assert names["box_iou"](warped * 512 / 48, boxes) < 0.8
    assert names["mask_iou"](evenly, mask == 1) < 0.8


def has_torchmetrics() -> bool:
    """Its detection metrics need torchvision and pycocotools, too."""
    return all(importlib.util.find_spec(name) for name in ("torchmetrics", "torchvision", "pycocotools"))


@pytest.mark.skipif(not has_torchmetrics(), reason="needs torchmetrics, torchvision and pycocotools")
def test_torchmetrics_takes_what_comes_back(names, tmp_path, monkeypatch):
    """The block runs on the script's networks; true boxes and masks, taken for predictions, are perfect."""
    monkeypatch.chdir(tmp_path)
    with names["ShardWriter"]("val.tar") as writer:
        for number in range(4):
            writer.write(names["draw"](number))
    exec(compile(TORCHMETRICS, "dense.md", "exec"), names)
    assert all(0 <= value <= 1 for pair in names["by_torchmetrics"].values() for value in pair)

    perfect = {
        **names,
        "predicted_boxes": lambda *_: [(BOXES, torch.ones(2), BOXES)],
        "predicted_masks": lambda *_: [(None, MASKS, MASKS)],
    }
    exec(compile(TORCHMETRICS, "dense.md", "exec"), perfect)
    assert [float(value) for value in perfect["by_torchmetrics"]["zoomed"]] == pytest.approx([1, 1])


@pytest.mark.slow
def test_the_figures_of_the_page(tmp_path):
    """The whole script, in a process of its own, with one thread, gives figures among those of the five seeds, or nearly so."""
    code = CODE + (
        "\nimport json\nprint(json.dumps([[[*map(float, (values.mean(), (values > 0.5).float().mean()))] for values in "
        "detection.values()], [*segmentation.values()]]))"
    )
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    detection, segmentation = json.loads(done.stdout.splitlines()[-1])
    found = [row for pair in (detection, segmentation) for row in zip(*pair, strict=True)]
    found[1] = tuple(100 * value for value in found[1])

    for row, (ours, stated) in enumerate(zip(found, STATED, strict=True)):
        near = 5 if row == 1 else 0.04
        for value, (mean, least, most) in zip(ours, stated, strict=True):
            assert least - near <= value <= most + near
            assert least <= mean <= most
