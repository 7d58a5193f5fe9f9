"""ZoomCollate warns of labels that would stay in the frame of the original."""

import json
import sys
import types
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from foveal.pipeline import ZoomCollate
from foveal.pipeline.fields import labels_in_document, labels_in_frame, without_labels
from foveal.sampler import UniformSampler

PIXELS = torch.zeros(40, 60, 3, dtype=torch.uint8)
BOXES = torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        ({"image": PIXELS, "boxes": BOXES, "labels": torch.zeros(2), "area": torch.zeros(2)}, ["boxes"]),
        (
            {"image": PIXELS, "target": {"boxes": BOXES, "masks": [1], "id": 3}},
            ["target.boxes", "target.masks"],
        ),
        ({"image": PIXELS, "json": {"a": {"Keypoints": [[1, 2]]}}}, ["json.a.Keypoints"]),
        ({"image": PIXELS, "seg.png": b"...", "cls": b"1"}, ["seg.png"]),
        ({"image": PIXELS, "mask": None, "points": 3, "json": {"boxes": "none"}}, []),
        ({"image": PIXELS, "targets": [{"bbox": [1, 2, 3, 4], "id": 3}] * 2}, ["targets[].bbox"]),
        ({"image": PIXELS, "targets": [], "persons": ({"a": {"kps": [1]}},)}, ["persons[].a.kps"]),
        ({"image": PIXELS, "map": torch.zeros(40, 60)}, ["map"]),
        ({"image": PIXELS, "map": np.zeros((1, 40, 60))}, ["map"]),
        ({"image": PIXELS, "map": Image.new("L", (60, 40))}, ["map"]),
        ({"image": PIXELS.permute(2, 0, 1), "map": torch.zeros(40, 60)}, ["map"]),
        ({"image": PIXELS, "map": torch.zeros(20, 30), "vector": torch.zeros(40)}, []),
        ({"image": PIXELS, "right": PIXELS, "left": Image.new("RGB", (60, 40))}, []),
        ({"image": b"encoded", "map": torch.zeros(40, 60), "cls": 1}, []),
    ],
)
def test_what_lies_in_the_image(sample, found):
    """Such labels are recognised by the usual names, and by having as many pixels as the image."""
    assert labels_in_frame(sample, "image") == found


@pytest.fixture
def tv_tensors():
    """Return types with torchvision's names, for when it is not installed."""
    module = types.ModuleType("torchvision.tv_tensors._made_up")
    kinds = {
        name: type(name, (torch.Tensor,), {"__module__": module.__name__})
        for name in ("BoundingBoxes", "Image", "Mask")
    }
    return lambda name, value: value.as_subclass(kinds[name])


def test_types_of_torchvision(tv_tensors):
    """torchvision's label types are recognised under any name; a second image is not a label."""
    sample = {
        0: tv_tensors("Image", PIXELS),
        1: tv_tensors("BoundingBoxes", BOXES),
        2: {"m": tv_tensors("Mask", torch.zeros(5, 5))},
        3: tv_tensors("Image", PIXELS),
    }

    assert labels_in_frame(sample, 0) == ["1", "2.m"]


def test_torchvision_itself():
    """The types of the installed torchvision are recognised."""
    tv_tensors = pytest.importorskip("torchvision.tv_tensors", reason="torchvision is not installed")
    boxes = tv_tensors.BoundingBoxes(BOXES, format="XYXY", canvas_size=(40, 60))

    assert "torchvision" in sys.modules
    assert labels_in_frame({0: PIXELS, 1: boxes, 2: tv_tensors.Mask(torch.zeros(4, 4))}, 0) == ["1", "2"]


MESSAGE = (
    r"target\.boxes stays? in the frame of the original images, which is not that of the zoomed ones – ask for "
    r"with_grid=True and call warp_boxes, warp_points or warp_masks, or use ZoomLoader with Boxes, Points or Mask"
)


def test_the_batch_is_warned_of_once():
    """The warning comes once, and labels are passed on unchanged."""
    collate = ZoomCollate(UniformSampler(8))
    samples = [{"image": PIXELS, "target": {"boxes": BOXES}}] * 2
    with pytest.warns(UserWarning, match=MESSAGE):
        batch = collate(samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        collate(samples)

    assert batch["target"]["boxes"].shape == (2, 2, 4)


def test_with_the_grid_nothing_is_said():
    """There is no warning if the batch has the grid, with which labels can be warped."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ZoomCollate(UniformSampler(8), with_grid=True)([{"image": PIXELS, "boxes": BOXES}])
        ZoomCollate(UniformSampler(8))([(PIXELS, 1)])


DOCUMENT = {
    "boxes": [[1, 2, 3, 4]],
    "labels": [3],
    "image": {"height": 3, "boxes": []},
    "annotations": [
        {"id": 1, "segmentation": None},
        {"bbox": [1, 2, 3, 4], "segmentation": {"counts": "a", "size": [3, 4]}},
    ],
    "mask": "a.png",
}


def test_labels_in_a_document():
    """Labels in JSON are found by path and kind, from the first item that has one; texts, numbers and empty lists are not labels."""
    found = labels_in_document(DOCUMENT)

    assert [(each.path, each.kind) for each in found] == [
        ("boxes", "boxes"),
        ("annotations[].bbox", "boxes"),
        ("annotations[].segmentation", "mask"),
    ]
    assert labels_in_document([{"points": [[1, 2]]}])[0].path == "[].points"
    assert labels_in_document(3) == labels_in_document(json.loads("[" * 500 + "]" * 500)) == []


def test_a_document_without_its_labels():
    """Removing the labels of a document keeps everything else."""
    paths = frozenset(each.path for each in labels_in_document(DOCUMENT))

    assert without_labels(DOCUMENT, paths) == {
        "labels": [3],
        "image": {"height": 3, "boxes": []},
        "annotations": [{"id": 1}, {}],
        "mask": "a.png",
    }
    assert labels_in_document(without_labels(DOCUMENT, paths)) == []
