"""Boxes and points at the border, in fractions or absent, and the labels beside them, as the loader warps them."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foveal.pipeline import Boxes, Points, ZoomLoader
from foveal.pipeline.fields import ImageBoxes
from foveal.pipeline.fields._warped_boxes import labels_as_tensors
from foveal.sampler import (
    BoxSaliency,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
)
from tests.checks import check_close
from tests.pipeline.fields.labelled import BOXES, FIELDS, labelled
from tests.pipeline.making import encode, picture


def test_labels_stay_beside_their_boxes(write_shard):
    """Labels of boxes that leave the image are dropped with them; numbers are tensors, names are lists."""
    away = [500, 0, 600, 9]
    samples = [
        ([[1, 2, 30, 40], away, [9, 9, 20, 20]], [5, 6, 7], ["a", "b", "c"]),
        ([away], [8], ["d"]),
        ([], [], []),
        ([None, [0, 0, 9, 9]], [1, 2], ["e", "f"]),
    ]
    url = write_shard(
        [labelled(k, json={"b": b, "ids": i, "names": n, "s": i}) for k, (b, i, n) in enumerate(samples)]
    )
    field = Boxes("json:b", labels=("ids", "names"))
    with ZoomLoader(url, UniformSampler(16), batch_size=4, fields=("image", field)) as loader:
        ((_, (boxes, kept, labels)),) = list(loader)

    assert [len(each) for each in boxes] == [2, 0, 0, 1]
    assert [each.tolist() for each in kept] == [[0, 2], [], [], [1]]
    assert [each.tolist() for each in labels["ids"]] == [[5, 7], [], [], [2]]
    assert {each.dtype for each in labels["ids"]} == {torch.int64}
    assert labels["names"] == [["a", "c"], [], [], ["f"]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1, 2], []], [torch.tensor([1, 2]), torch.zeros(0, dtype=torch.int64)]),
        ([[1], [0.5]], [torch.tensor([1.0]), torch.tensor([0.5])]),
        ([[True], []], [torch.tensor([1]), torch.zeros(0, dtype=torch.int64)]),
        ([[1], ["a"]], [[1], ["a"]]),
        ([[1, None]], [[1, None]]),
        ([[2**70]], [[2**70]]),
    ],
)
def test_labels_as_tensors(values, expected):
    """Labels are tensors if all labels of the batch are numbers that fit in 64 bits."""
    found = labels_as_tensors(values, [torch.zeros(len(each), 4) for each in values])

    assert repr(found) == repr(expected)


def test_a_point_that_is_absent_comes_out_as_nan(write_shard):
    """An absent point is NaN at its index, and the other points are unaffected."""
    url = write_shard([labelled(0, json={"p": [[10, 20], None, [50, 30]], "q": [[10, 20], [50, 30]]})])
    zoom = SaliencySampler(16, saliency=SpectralSaliency(), temperature=0.5).requires_grad_(False)
    fields = ("image", Points("json:p"), Points("json:q"))
    with ZoomLoader(url, zoom, batch_size=1, fields=fields) as loader:
        ((_, (points,), (known,)),) = list(loader)

    assert points.isnan().tolist() == [[False] * 2, [True] * 2, [False] * 2]
    assert torch.equal(points[[0, 2]], known)


def test_fractions_are_of_the_upright_image(write_shard):
    """Fractions refer to the upright image, whichever decoder and decoded size."""
    turned = Image.Exif()
    turned[0x0112] = 6
    file = encode(picture(0, 300, 400), exif=turned)
    label = {"boxes": [[0.25, 0.5, 0.5, 1]], "points": [0.25, 0.5]}
    url = write_shard([{"__key__": "a", "jpg": file, "json": label}])
    fields = ("image", Boxes("json:boxes", frame="fraction"), Points("json:points", frame="fraction"))
    for decode in ("dali", "auto"):
        with ZoomLoader(url, UniformSampler((40, 30)), batch_size=1, fields=fields, decode=decode) as loader:
            ((_, ((box,), _), (points,)),) = list(loader)

        check_close(box, [[7.5, 20, 15, 40]], 1e-3)
        check_close(points, [[7.5, 20]], 1e-3)


def test_boxes_in_fractions_guide_a_zoom(write_shard):
    """Boxes in fractions guide a zoom as the same boxes in pixels do; absent ones are left out."""
    pixels = [[20, 30, 50, 60], None]
    label = {"px": pixels, "fr": [[20 / 90, 30 / 60, 50 / 90, 1], None]}
    url = write_shard([labelled(0, json=label)])
    grids = []
    for field in (Boxes("json:px"), Boxes("json:fr", frame="fraction")):
        zoom = SaliencySampler(16, saliency=BoxSaliency(field.source), temperature=1.0)
        with ZoomLoader(url, zoom, batch_size=1, fields=("image", field, "__grid__")) as loader:
            grids.append(next(iter(loader))[2])

    check_close(grids[0], grids[1], 1e-5)
    assert (
        grids[0] - UniformSampler(16)([torch.zeros(60, 90, 3, dtype=torch.uint8)]).grid
    ).abs().max() > 0.01


def test_whole_pixels_stay_whole_where_nothing_is_zoomed(write_shard):
    """Without a zoom at the same size, integer coordinates come out exactly."""
    label = {"boxes": [[6, 8, 36, 28]], "face": {"points": [[7, 11]]}}
    url = write_shard([labelled(0, json=label)])
    with ZoomLoader(url, UniformSampler((60, 90)), batch_size=1, fields=FIELDS) as loader:
        ((_, ((boxes,), _), (points,), *_),) = list(loader)

    assert boxes.tolist() == [[6, 8, 36, 28]]
    assert points.tolist() == [[7, 11]]


def test_boxes_that_rounding_leaves_without_extent(write_shard):
    """A box of which the zoomed image shows less than is rounded away is left out, and so is its number."""
    boxes = [[399.99995, 10, 420, 50], [-9, 10, 4e-5, 50], [10, 299.99995, 50, 310], [399.9, 10, 420, 50]]
    url = write_shard([{"__key__": "0", "jpg": encode(picture(0, 300, 400)), "json": {"boxes": boxes}}])
    with ZoomLoader(url, UniformSampler(224), batch_size=1, fields=("image", BOXES)) as loader:
        [(_, ((found,), (kept,)))] = list(loader)

    assert kept.tolist() == [3]
    check_close(found, torch.tensor([[223.944, 7.4667, 224, 37.3333]]), 1e-3)


@settings(deadline=None)
@given(
    st.sampled_from(["xyxy", "xywh", "cxcywh"]),
    st.sampled_from(["pixel", "fraction"]),
    st.sampled_from([(24, 32), (3, 8000)]),
    st.tuples(*[st.floats(0, 1)] * 2),
    st.tuples(*[st.floats(1e-6, 1e-2)] * 2),
)
def test_boxes_keep_an_extent_where_they_are_written(box_format, frame, size, start, extent):
    """A box that comes out of the zoom, however thin, is read with a width and a height from the file that it is written to."""
    field = Boxes("json:boxes", format=box_format, frame=frame)
    corner = torch.tensor(start, dtype=torch.float64) * torch.tensor(size[::-1])
    box = torch.cat([corner, corner + torch.tensor(extent)]).float()[None]
    stored_ = box if frame == "pixel" else box / torch.tensor([*size[::-1]] * 2)
    grid = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, *size], align_corners=False)
    warped = field.warp([ImageBoxes(stored_, torch.tensor([0]), {})], grid, [size])
    members = {"json": json.dumps({"boxes": [[0, 0, 1, 1]]}).encode()}
    written = field.write(members, field.of_sample(warped, 0), size)
    corners = field.read(written, max_pixels=None).corners

    assert len(corners) == len(warped.boxes[0])
    assert bool((corners[:, 2:] > corners[:, :2]).all())


def test_boxes_and_points_from_far_outside(write_shard):
    """A box of the largest float32 numbers covers the image, and such a point lies outside of it."""
    far = 3e38
    label = {"boxes": [[-far, -far, far, far], [far, 0, far, 9]], "face": {"points": [[far, -far], [3, far]]}}
    url = write_shard([labelled(1, json=label)])
    zoom = SaliencySampler(16, temperature=0.1)
    with torch.no_grad(), ZoomLoader(url, zoom, batch_size=1, fields=FIELDS) as loader:
        ((_, (boxes, kept), points, *_),) = list(loader)

    assert kept[0].tolist() == [0]
    check_close(boxes[0], [[0, 0, 16, 16]], 0)
    assert not (points[0] < 16).logical_and(points[0] > 0).all(dim=1).any()
