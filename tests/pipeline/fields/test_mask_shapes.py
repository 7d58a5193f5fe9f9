"""Masks as polygons, run lengths and shapes: read, and refused if they are invalid."""

import base64
import json
import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image, ImageDraw

from foveal.pipeline import Mask, ZoomLoader
from foveal.pipeline.fields import MemberError
from foveal.sampler import UniformSampler
from tests.pipeline.fields.mask_files import HEIGHT, IDS_1, SIZE, WIDTH, js, seen
from tests.pipeline.making import encode, picture

RECTANGLE = [[10, 5], [30, 5], [30, 20], [10, 20]]
FIELD = Mask("json:a[].s")
FLAT = [10, 5, 30, 5, 30, 20, 10, 20]


def run_lengths(mask) -> dict:
    """Return COCO's encoding, by a loop over the pixels."""
    counts, last = [0], 0
    for value in mask.T.ravel().tolist():
        if value != last:
            counts.append(0)
            last = value
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def compressed(mask) -> dict:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    return {"size": list(mask.shape), "counts": coco.encode(np.asfortranarray(mask))["counts"].decode()}


@settings(deadline=None, max_examples=60)
@given(
    st_numpy.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 12)), elements=st.integers(0, 1)),
    st.sampled_from([run_lengths, compressed]),
)
def test_run_lengths_are_read(mask, encoded):
    """Run lengths are read as by pycocotools and by a loop over the pixels."""
    content = js({"segmentation": encoded(mask)})

    assert np.array_equal(seen(Mask("json:segmentation"), content, size=mask.shape), mask)


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(st.text(st.characters(min_codepoint=40, max_codepoint=120)), st.lists(st.integers(-2, 99))),
    st.lists(st.integers(-1, 12), max_size=3),
)
def test_run_lengths_of_whatever_kind(counts, size):
    """Any run lengths give a mask of the size that they state, or a bad sample."""
    try:
        label = FIELD.read({"json": js({"a": [{"s": {"counts": counts, "size": size}}]})}, max_pixels=100)
    except MemberError:
        return
    assert label.painted((1, 1)).shape == tuple(size)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats() | st.integers(-(10**30), 10**30) | st.just(None), max_size=9))
def test_polygons_of_whatever_numbers(numbers):
    """Any polygon gives a mask or a bad sample; corners far from the image never reach the function that fills."""
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    content = json.dumps({"a": [{"s": [numbers]}]}).encode()
    try:
        label = FIELD.read({"json": content}, max_pixels=None)
    except MemberError:
        return
    if FIELD.misfit(label, SIZE) is None:
        assert label.painted(SIZE).shape == SIZE


def test_polygons_cover_what_coco_says():
    """Polygons cover the pixels of pycocotools: all parts of one shape; of overlapping shapes the later one wins."""
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    parts = [[10.3, 5.2, 40, 8, 30.7, 33.1], [1, 20, 9.5, 20, 9.5, 39, 1.25, 38]]
    above = [[25, 0, 49.5, 0, 49.5, 39.5]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools, with NumPy 2
        first, second = (coco.decode(coco.merge(coco.frPyObjects(each, *SIZE))) for each in (parts, above))
    items = [
        {"segmentation": parts, "category_id": 18, "iscrowd": 0},
        {"segmentation": [], "category_id": 3},
        {"segmentation": [[]], "category_id": 3},
        {"segmentation": above, "category_id": 300},
    ]
    content = js({"annotations": items})
    covered = np.where(second, 300, 18 * first.astype(int))

    assert (first & second).sum() > 0
    field = Mask("json:annotations[].segmentation", labels="category_id")
    assert np.array_equal(seen(field, content), covered)
    numbered = np.where(second, 4, first)
    assert np.array_equal(seen(Mask("json:annotations[].segmentation"), content), numbered)
    mapped = Mask(
        "json:annotations[].segmentation", labels="category_id", classes={18: 1, 300: 2}, background=255
    )
    assert np.array_equal(seen(mapped, content), np.where(second, 2, np.where(first, 1, 255)))


def test_crowds_beside_polygons():
    """Crowds, which COCO gives as run lengths, are read beside polygons in the same frame."""
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    crowd = np.zeros(SIZE, np.uint8)
    crowd[30:, 40:] = 1
    items = [
        {"segmentation": [FLAT], "category_id": 1, "iscrowd": 0},
        {"segmentation": run_lengths(crowd), "category_id": 1, "iscrowd": 1},
    ]
    field = Mask("json:annotations[].segmentation", labels="category_id")

    assert np.array_equal(seen(field, js({"annotations": items})), (IDS_1 | crowd))
    label = field.read({"json": js({"annotations": items})}, max_pixels=None)
    assert field.misfit(label, (80, 100)) == (
        "json annotations[].segmentation has masks of different sizes: [(40, 50), (80, 100)] (height, width)"
    )


def labelme(*shapes, **more):
    return js({"shapes": list(shapes), "imageHeight": HEIGHT, "imageWidth": WIDTH, **more})


def test_shapes_of_labelme():
    """Polygons, rectangles, circles and masks are filled with the class of their label; lines cover nothing."""
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    drawn = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(drawn).ellipse([28, 18, 42, 32], fill=1)
    cut = base64.b64encode(encode(np.full((4, 6), 255, np.uint8), "PNG")).decode()
    content = labelme(
        {"label": "a", "shape_type": "rectangle", "points": [[30, 20], [10, 5]]},
        {"label": "b", "shape_type": "circle", "points": [[35, 25], [35, 32]]},
        {"label": "a", "shape_type": "line", "points": [[0, 0], [50, 40]]},
        {"label": "a", "shape_type": "polygon", "points": [[0, 30], [8, 30], [8, 40], [0, 40]]},
        {"label": "c", "shape_type": "mask", "points": [[46.0, 1], [51, 4]], "mask": cut},
    )
    field = Mask("json:shapes[].points", labels="label", classes=["_background_", "a", "b", "c"])
    ids = seen(field, content)

    expected = IDS_1.copy()
    expected[30:, :8] = 1
    expected[1:5, 46:] = 3
    circle = np.array(drawn) > 0
    assert np.array_equal(ids[~circle & (ids != 2)], expected[~circle & (ids != 2)])
    assert ((ids == 2) != circle).sum() < 2 * np.pi * 7  # its rim
    label = field.read({"json": content}, max_pixels=None)
    assert field.misfit(label, (80, 100)) == (
        "json shapes[].points is of an image of another size: 40 × 50, and this one has 80 × 100 pixels (height × width)"
    )


def test_lines_of_yolo():
    """Lines with a class and corners as fractions are read, also with Windows line ends and a byte order mark."""
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    corners = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in RECTANGLE)
    text = f"\ufeff0 {corners}\r\n\r\n".encode()

    assert np.array_equal(seen(Mask("txt"), text), IDS_1)
    assert np.array_equal(seen(Mask("txt", labels=0, classes={0: 7}), text), IDS_1 * 7)
    assert np.array_equal(seen(Mask("txt", labels=0, background=255), text), 255 - 255 * IDS_1.astype(int))
    for nothing in (b"", None):
        assert not seen(Mask("txt"), nothing).any()


def polygon(*numbers):
    return js({"a": [{"s": [list(numbers)], "c": 1, "n": "x", "zero": 0}]})


@pytest.mark.parametrize(
    ("field", "content", "reason"),
    [
        (FIELD, polygon(1, 2, 3, 4, 5), "json a[].s has a polygon that is not pairs of numbers: [1, 2, 3, 4, 5]"),
        (FIELD, polygon(1, 2, 3, 4, 5, None), "json a[].s has a polygon that is not pairs of numbers: [1, 2, 3, 4, 5, None]"),
        (FIELD, polygon(1, 2, 3, 4, 5, 1e12), "json a[].s has a polygon that is not pairs of numbers: "),
        (FIELD, polygon(1, 2, 3, 4, 5, 900), "json a[].s is far outside of the image: one corner is [5.0, 900.0] of 50 × 40 (width × height)"),
        (FIELD, polygon(0, 0, 0.5, 0, 0.5, 0.5), 'json a[].s can only be fractions of the image, and needs frame="fraction": one is [0.0, 0.0]'),
        (FIELD, polygon(*[0, 0, 50, 40] * 20000), "json a[].s has a polygon whose outline is longer than the image has pixels: 2000000"),
        (FIELD, js({"a": [{"s": "x"}]}), "json a[].s is neither polygons nor run lengths: 'x'"),
        (FIELD, js({"a": [{"s": [[[1, 2], [3, 4], [5, 6]]]}]}), None),
        (FIELD, js({"a": [{"s": [[[[1, 2]]]]}]}), "json a[].s is neither polygons nor run lengths: [[[[...]]]]"),
        (FIELD, js({"a": [{"s": {"counts": [1]}}]}), "json a[].s has run lengths without a size (height, width): {'counts': [1]}"),
        (FIELD, js({"a": [{"s": {"counts": [1, 2], "size": [2, 2]}}]}), "json a[].s has run lengths of another sum than its size: 3 and 2 × 2 (height × width)"),
        (FIELD, js({"a": [{"s": {"counts": [5, -1], "size": [2, 2]}}]}), "json a[].s has counts that are no run lengths: {'counts': [5, -1], 'size': [2, 2]}"),
        (FIELD, js({"a": [{"s": {"counts": "!", "size": [2, 2]}}]}), "json a[].s has counts that are no run lengths: {'counts': '!', 'size': [2, 2]}"),
        (FIELD, js({"a": [{"s": {"counts": [10**10], "size": [10**5, 10**5]}}]}), "json a[].s has more pixels than max_pixels=5000: (100000, 100000)"),
        (FIELD, js({"a": [{"s": {"counts": [400], "size": [20, 20]}}]}), "json a[].s has another shape than the image: 20 × 20 on 40 × 50 pixels (height × width)"),
        (Mask("json:a[].s", labels="n"), polygon(1, 2, 3, 4, 5, 6), "json a[].s has a n that is no whole number: 'x'"),
        (Mask("json:a[].s", labels="no"), polygon(1, 2, 3, 4, 5, 6), "json a[].s has a no that is no whole number: None"),
        (Mask("json:a[].s", labels="n", classes={"y": 1}), polygon(1, 2, 3, 4, 5, 6), "json a[].s has a n that is not among classes: 'x'"),
        (Mask("json:a[].s", labels="zero"), polygon(1, 2, 3, 4, 5, 6), "json a[].s has shapes of the class that background is: 0 – give classes={0: 1, 1: 2, ...}, or another background"),
        (Mask("txt"), b"0 0.5 0.5 0.2 0.2", "txt is not lines of a class and at least three corners: '0 0.5 0.5 0.2 0.2'"),
        (Mask("txt"), b"a .1 .1 .2 .1 .2 .2", "txt is not lines of a class and at least three corners: 'a .1 .1 .2 .1 .2 .2'"),
        (Mask("txt"), b"0 .1 .1 .2 .1 .2 nan", "txt has a polygon that is not pairs of numbers: "),
        (Mask("txt"), b"0 10 10 20 10 20 20", 'txt is beyond fractions of the image, and frame="pixel" is for pixels: one is [10.0, 10.0]'),
        (FIELD, labelme(), None),
        (Mask("json:shapes[].points"), labelme({"shape_type": "mask", "points": [[1, 1], [2, 2]]}), "json shapes[].points has a shape of the kind mask without two points and a picture: [[1, 1], [2, 2]]"),
        (Mask("json:shapes[].points"), labelme({"shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "!"}), "json shapes[].points has a mask that is not base64: '!'"),
        (Mask("json:shapes[].points"), labelme({"shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "aaaa"}), "json shapes[].points mask is nothing that DALI or Pillow knows: "),
    ],
)  # fmt: skip
def test_shapes_that_make_a_bad_sample(field, content, reason):
    """The reason shows what was found."""

    def found():
        label = field.read({field.extensions[0]: content}, max_pixels=5000)
        fault = field.misfit(label, SIZE)
        if fault is not None:
            raise MemberError(fault)

    if reason is None:
        found()
        return
    with pytest.raises(MemberError, match=f"^{re.escape(reason)}"):
        found()


def test_without_pycocotools(monkeypatch):
    """Without pycocotools, the error names the extra and does not make the sample bad."""
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.mask", None)
    message = "masks of polygons need pycocotools, which is not installed – pip install 'foveal[coco]'."
    with pytest.raises(ModuleNotFoundError, match=f"^{re.escape(message)}$"):
        seen(FIELD, polygon(1, 2, 3, 4, 5, 6))

    assert np.array_equal(seen(FIELD, js({"a": [{"s": run_lengths(IDS_1)}]})), IDS_1)


def test_shapes_follow_the_zoom(write_shard):
    """In the loader, shapes are filled at the size of each image and sampled by its grid."""
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    url = write_shard(
        [
            {"__key__": f"{k}", "jpg": encode(picture(k, 40 + 20 * k, 50)), "json": {"a": items}}
            for k, items in enumerate([[{"s": [FLAT]}], []])
        ]
    )
    with ZoomLoader(url, UniformSampler((20, 25)), batch_size=2, fields=("image", FIELD)) as loader:
        [(_, masks)] = list(loader)

    assert masks.shape == (2, 20, 25)
    assert masks.dtype == torch.int64
    assert np.array_equal(masks[0].numpy(), IDS_1[1::2, 1::2])
    assert not masks[1].any()
