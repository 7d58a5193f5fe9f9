"""One mask for each object, also if objects overlap: read, and written back as run lengths."""

import json
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from foveal.pipeline import Boxes, InstanceMasks, ZoomLoader
from foveal.pipeline.fields.masks import run_lengths
from foveal.sampler import SaliencySampler, UniformSampler, warp_masks
from tests.pipeline.making import encode, picture

coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")

SIZE = HEIGHT, WIDTH = 40, 50
FIELD = InstanceMasks("json:annotations[].segmentation")
BOXES = Boxes("json:annotations[].bbox", format="xywh", labels="category_id")
ONE, TWO = (np.zeros(SIZE, np.uint8) for _ in range(2))
ONE[5:20, 10:30], TWO[10:35, 25:45] = 1, 1
POLYGON = [10, 5, 30, 5, 30, 20, 10, 20]


def encoded(mask) -> dict:
    return {
        "size": list(mask.shape),
        "counts": coco.encode(np.asfortranarray(mask))["counts"].decode(),
    }


def annotations() -> dict:
    """Return a polygon, run lengths over a part of it, an empty one, and a box that is outside of the image."""
    return {
        "annotations": [
            {"bbox": [10, 5, 20, 15], "category_id": 1, "segmentation": [POLYGON]},
            {"bbox": [90, 90, 5, 5], "category_id": 9, "segmentation": []},
            {"bbox": [25, 10, 20, 25], "category_id": 2, "segmentation": encoded(TWO)},
            {"bbox": [1, 1, 5, 5], "category_id": 3, "segmentation": None},
        ]
    }


def sample(key="a", **members) -> dict:
    return {"__key__": key, "jpg": encode(picture(0, *SIZE)), "json": annotations(), **members}


@settings(deadline=None, max_examples=60)
@given(
    st_numpy.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 9)), elements=st.integers(0, 1))
)
def test_run_lengths_are_those_of_coco(mask):
    """The compressed text equals that of pycocotools."""
    assert run_lengths(mask) == encoded(mask)


def test_each_object_has_a_mask(write_shard):
    """Each object has a mask in the order of the list, so that masks of the remaining boxes can be selected."""
    url = write_shard([sample("a"), sample("b", json={"annotations": []})])
    fields = ("image", BOXES, FIELD)
    with ZoomLoader(url, UniformSampler(SIZE), batch_size=2, fields=fields) as loader:
        [(_, (_, kept, labels), masks)] = list(loader)

    assert masks[0].dtype == torch.bool
    assert np.array_equal(masks[0].numpy(), np.stack([ONE, ONE * 0, TWO, ONE * 0]) > 0)
    assert masks[1].shape == (0, *SIZE)
    assert labels["category_id"][0].tolist() == [1, 2, 3]
    assert masks[0][kept[0]].sum(dim=(1, 2)).tolist() == [300, 500, 0]


def test_they_follow_the_zoom(write_shard):
    """Each mask is warped as a mask of its own would be."""
    zoom = SaliencySampler((24, 32), temperature=0.2).requires_grad_(False)
    url = write_shard([sample()])
    with ZoomLoader(url, zoom, batch_size=1, fields=("image", FIELD, "__grid__")) as loader:
        [(_, [masks], grid)] = list(loader)

    for mask, original in zip(masks[[0, 2]], (ONE, TWO), strict=True):
        assert torch.equal(mask, warp_masks([torch.from_numpy(original)], grid)[0].bool())
        assert mask.any()


def test_they_are_written_back():
    """Masks are written as compressed run lengths of the new size, which pycocotools reads; absent ones stay absent."""
    members = {"json": json.dumps(annotations() | {"image": {"height": 40, "width": 50}}).encode()}
    label = FIELD.read(members, max_pixels=None)
    grid = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], (1, 1, 8, 10), align_corners=False)
    masks = FIELD.of_sample(FIELD.warp([label], grid, [SIZE]), 0)
    written = FIELD.write({**members, "other": b""}, masks, (8, 10))
    document = json.loads(written["json"])

    assert written.keys() == {"json"}
    assert document["image"] == {"height": 8, "width": 10}
    found = [item["segmentation"] for item in document["annotations"]]
    assert found[1] == []
    assert found[3] is None
    for each, original in zip(found[::2], (ONE, TWO), strict=True):
        assert each == encoded(original[2::5, 2::5])
    assert FIELD.misfit(FIELD.read(written, max_pixels=None), (8, 10)) is None


def test_areas_are_counted_anew():
    """The area beside a mask is its number of pixels, where the file has one. An item without a mask has none: it would be of the original."""
    run = encoded(ONE)
    items: list[dict[str, object]] = [
        {"segmentation": run, "area": 9.5},
        {"segmentation": run},
        {"segmentation": None, "area": 7},
        {"segmentation": [], "area": 7.5},
        {"segmentation": run, "area": 0},
    ]
    members = {"json": json.dumps({"annotations": items}).encode()}
    rows = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 0]]
    masks = torch.tensor(rows, dtype=torch.bool)[:, None]
    document = json.loads(FIELD.write(members, masks, (1, 3))["json"])

    areas = [item.get("area", "none") for item in document["annotations"]]
    assert areas == [2, "none", "none", "none", 1]


def test_lines_of_yolo():
    """Each line of a YOLO file is one mask."""
    line = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in np.reshape(POLYGON, (4, 2)))
    label = InstanceMasks("txt").read({"txt": f"3 {line}\n".encode()}, max_pixels=None)
    grid = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], (1, 1, *SIZE), align_corners=False)

    assert np.array_equal(InstanceMasks("txt").warp([label], grid, [SIZE])[0][0].numpy(), ONE > 0)
    assert InstanceMasks("txt").is_absent({})
    assert not FIELD.is_absent({"json": b'{"annotations": []}'})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InstanceMasks("mask.png"), "source must be a json member with a path to shapes, such as 'json:annotations[].segmentation', or 'txt', got 'mask.png'."),
        (lambda: InstanceMasks(len), "source must be a json member with a path to shapes, such as 'json:annotations[].segmentation', or 'txt', got <built-in function len>."),
        (lambda: InstanceMasks("txt", frame="percent"), "frame must be one of pixel, fraction, got 'percent'."),
        (lambda: InstanceMasks("txt").write({"txt": b""}, torch.zeros(0, 1, 1), (1, 1)), "source must be a json member to be written back to, got 'txt'."),
        (
            lambda: InstanceMasks("json:s[].p").write(
                {"json": b'{"s": [{"shape_type": "polygon", "p": [[1, 2]]}]}'}, torch.zeros(1, 1, 1), (1, 1)
            ),
            "source must be of COCO's kind to be written back to, got 'json:s[].p' – warp it as Points.",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense(make, message):
    """Each invalid argument is named with its value."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_they_are_values():
    """Equal fields compare equal, and they pickle."""
    assert len({FIELD, InstanceMasks("json:annotations[].segmentation", frame="pixel")}) == 1
    assert pickle.loads(pickle.dumps(FIELD)) == FIELD
