"""Masks as tools write them, as pictures, arrays, polygons and run lengths, are read, and written back."""

import base64
import io
import json
import pickle
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
from tests.pipeline.making import encode, npy, picture, png

WIDTH, HEIGHT = 50, 40
SIZE = HEIGHT, WIDTH
COLOURS = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (224, 224, 192)]
IDS = np.zeros(SIZE, np.uint8)
IDS[5:20, 10:30], IDS[15:35, 25:45], IDS[30:, :8] = 1, 2, 3
RECTANGLE = [[10, 5], [30, 5], [30, 20], [10, 20]]
FIELD = Mask("json:a[].s")
FLAT = [10, 5, 30, 5, 30, 20, 10, 20]


def js(value) -> bytes:
    return json.dumps(value).encode()


def seen(field, content, *, size=SIZE, max_pixels=None):
    """Return the class ids of a member, as the field delivers them for an image that is not zoomed."""
    member = field.extensions[0] if field.extensions else "x"
    label = field.read({} if content is None else {member: content}, max_pixels=max_pixels)
    assert field.misfit(label, size) is None
    grid = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], (1, 1, *size), align_corners=False)
    return field.warp([label], grid, [size])[0].numpy()


def coloured(ids=IDS, colours=COLOURS) -> np.ndarray:
    return np.array(colours, np.uint8)[ids]


def palette_png(ids=IDS) -> bytes:
    image = Image.frombytes("P", ids.shape[::-1], ids.tobytes())
    image.putpalette(np.array(COLOURS, np.uint8).tobytes())
    return encode(image, "PNG")


with_alpha = np.dstack([coloured(), np.full(SIZE, 255, np.uint8)])
PICTURES = {
    "palette": (Mask("png"), palette_png(), IDS),
    "palette by its colours": (Mask("png", palette=COLOURS[::-1]), palette_png(), 3 - IDS),
    "colours": (Mask("png", palette=COLOURS), encode(coloured(), "PNG"), IDS),
    "colours, mapped": (
        Mask("png", palette={c: (7, 7, 300, 255)[k] for k, c in enumerate(COLOURS)}),
        encode(coloured(), "PNG"),
        np.array([7, 7, 300, 255])[IDS],
    ),
    "colours with alpha": (Mask("png", palette=COLOURS), encode(with_alpha, "PNG"), IDS),
    "grey in a file of colours": (Mask("png"), encode(np.dstack([IDS] * 3), "PNG"), IDS),
    "grey with alpha": (
        Mask("png"),
        encode(Image.fromarray(np.dstack([IDS, np.full_like(IDS, 255)]), "LA"), "PNG"),
        IDS,
    ),
    "grey values": (Mask("png", palette=(0, 255)), encode((IDS > 0) * np.uint8(255), "PNG"), IDS > 0),
    "255 is ignored": (Mask("png"), encode(np.where(IDS == 3, 255, IDS).astype(np.uint8), "PNG"), np.where(IDS == 3, 255, IDS)),
    "16 bits": (Mask("png"), encode(IDS.astype(np.uint16) * 1000, "PNG"), IDS.astype(int) * 1000),
    "32 bits": (Mask("tif"), encode(IDS.astype(np.int32) * 70000, "TIFF"), IDS.astype(int) * 70000),
    "floating point": (Mask("tif"), encode(IDS.astype(np.float32) * 7, "TIFF"), IDS * 7),
    "lossless WebP": (Mask("webp", palette=COLOURS), encode(coloured(), "WEBP", lossless=True), IDS),
    "panoptic": (
        Mask("png", palette="panoptic"),
        encode(np.dstack([IDS, IDS * 2, IDS * 3]), "PNG"),
        IDS.astype(int) * (1 + 2 * 256 + 3 * 65536),
    ),
    "array": (Mask("npy"), npy(IDS.astype(np.int64)), IDS),
    "array of truths": (Mask("npy"), npy(IDS > 1), IDS > 1),
    "array with an axis of length one": (Mask("npy"), npy(IDS[None].astype(np.float64)), IDS),
    "array with -1 where nothing is known": (Mask("npy"), npy(IDS.astype(np.int16) - 1), IDS.astype(int) - 1),
    "array of colours": (Mask("npy", palette=COLOURS), npy(coloured()), IDS),
    "array of large ids": (Mask("npy"), npy(IDS.astype(np.int64) << 40), IDS.astype(int) << 40),
    "array of uint16": (Mask("npy"), npy(IDS.astype(np.uint16) * 20000), IDS.astype(int) * 20000),
    "array of uint32": (Mask("npy"), npy(IDS.astype(np.uint32) << 30), IDS.astype(int) << 30),
    "array of the other order of bytes": (Mask("npy"), npy(IDS.astype(">i4") * 999), IDS.astype(int) * 999),
    "array that lies upside down": (Mask(lambda members: np.frombuffer(IDS.tobytes(), np.uint8).reshape(SIZE)[::-1]), b"", IDS[::-1]),
    "own reader": (Mask(lambda members: torch.from_numpy(IDS)), b"", IDS),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_masks_of_pixels_are_read(name):
    """Each id is where it was drawn and nowhere else."""
    field, content, ids = PICTURES[name]

    assert np.array_equal(seen(field, content), ids)


WRITTEN = [name for name, (field, _, _) in PICTURES.items() if field.extensions in (("png",), ("npy",))]


@pytest.mark.parametrize("name", WRITTEN)
def test_masks_of_pixels_are_written_back(name):
    """A zoomed mask is written in its original form and reads back equal; palettes are kept."""
    field, content, ids = PICTURES[name]
    member = field.extensions[0]
    zoomed = torch.from_numpy(np.ascontiguousarray(ids[::2, ::2])).long()
    written = field.write({member: content, "other": b""}, zoomed, (20, 25))

    assert set(written) == {member}
    assert np.array_equal(seen(field, written[member], size=(20, 25)), zoomed.numpy())
    if member == "png":
        before, after = (Image.open(io.BytesIO(file)) for file in (content, written[member]))
        assert before.getpalette() == after.getpalette()


@settings(deadline=None, max_examples=50)
@given(
    st_numpy.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)),
    st.permutations([(0, 0, 0), (1, 2, 3), (0, 0, 255), (255, 0, 0)]),
)
def test_colours_are_looked_up(ids, colours):
    """Colours become ids as by NumPy's indexing, whatever the order of the colours."""
    content = encode(coloured(ids, colours), "PNG")

    assert np.array_equal(seen(Mask("png", palette=colours), content, size=ids.shape), ids)


def test_pixels_of_a_jpeg_are_taken_for_the_nearest():
    """A mask of two values that was stored as JPEG has no third value, and edges move by at most a pixel."""
    grey = encode((IDS == 1) * np.uint8(255), "JPEG", quality=60)
    colour = encode(coloured((IDS == 1) * 3), "JPEG", quality=90, subsampling=0)

    for field, content, one in (
        (Mask("jpg", palette=(0, 255)), grey, 1),
        (Mask("jpg", palette=[COLOURS[0], COLOURS[3]]), colour, 1),
    ):
        ids = seen(field, content)
        assert set(np.unique(ids)) == {0, one}
        assert ((ids == one) != (IDS == 1)).sum() <= 2 * (20 + 15)
    assert len(np.unique(np.array(Image.open(io.BytesIO(grey))))) > 2


LOSSY = (
    "which does not keep class ids: it has {} values from 0 to {} – store masks as PNG, or name those that were drawn, such as "
    "palette=(0, 255), and each pixel is taken for the nearest"
)


@pytest.mark.parametrize(
    ("field", "content", "reason"),
    [
        (Mask("jpg"), encode(np.zeros(SIZE, np.uint8), "JPEG"), "jpg is a JPEG, " + LOSSY.format(1, 0)),
        (Mask("webp"), encode(np.zeros(SIZE, np.uint8), "WEBP"), "webp is a lossy WebP, " + LOSSY.format(1, 0)),
        (Mask("png"), encode(coloured(), "PNG"), "png has colours, and palette must say what they stand for: one is (128, 0, 0)"),
        (Mask("png", palette=(0, 1)), encode(coloured(), "PNG"), "png has colours, and palette has single values: one is (128, 0, 0)"),
        (Mask("png", palette=COLOURS[:2]), encode(coloured(), "PNG"), "png has pixels that are not in the palette: one is (0, 128, 0)"),
        (Mask("png", palette=(0, 255)), encode(IDS, "PNG"), "png has pixels that are not in the palette: one is 1"),
        (Mask("png", palette=COLOURS), png(8, 3, [b"\x01\x1e"], 2), "png has indices without a colour in its palette: one is 30"),
        (Mask("png"), encode(np.dstack([IDS] * 4), "PNG"), "png holds no class ids: its pixels are RGBA, and some are transparent"),
        (Mask("tif"), encode(IDS.astype(np.float32) / 2, "TIFF"), "tif holds no class ids, which are whole numbers: one is 0.5"),
        (Mask("npy"), npy(np.full(SIZE, np.nan)), "npy holds no class ids, which are whole numbers: one is nan"),
        (Mask("npy"), npy(np.full(SIZE, 1e300)), "npy holds no class ids, which are whole numbers: one is 1e+300"),
        (Mask("npy"), npy(np.full(SIZE, 2**64 - 1, np.uint64)), f"npy has class ids of more than 63 bits: one is {2**64 - 1}"),
        (Mask("npy"), npy(np.zeros((2, 40, 50))), "npy is no mask (height, width): float64 of shape (2, 40, 50)"),
        (Mask("npy"), npy(np.zeros((0, 50))), "npy is no mask (height, width): float64 of shape (0, 50)"),
        (Mask("npy"), npy(np.zeros(SIZE, complex)), "npy is no mask (height, width): complex128 of shape (40, 50)"),
        (Mask("npy"), npy(np.zeros((99, 99))), "npy has more pixels than max_pixels=5000: (99, 99)"),
        (Mask("npy"), b"no", "npy is not a NumPy array of numbers: b'no'"),
        (Mask(lambda m: [[1], [2, 3]]), b"", "<lambda>'s result is no mask (height, width): [[1], [2, 3]]"),
        (Mask(lambda m: m["none"]), b"", "<lambda> failed: KeyError 'none'"),
    ],
)  # fmt: skip
def test_pixels_that_make_a_bad_sample(field, content, reason):
    """The reason shows what was found, and its text before the colon is the same for all samples with this fault."""
    with pytest.raises(MemberError, match=f"^{re.escape(reason)}$"):
        seen(field, content, max_pixels=5000)


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
        {"segmentation": above, "category_id": 300},
    ]
    content = js({"annotations": items})
    covered = np.where(second, 300, 18 * first.astype(int))

    assert (first & second).sum() > 0
    field = Mask("json:annotations[].segmentation", labels="category_id")
    assert np.array_equal(seen(field, content), covered)
    numbered = np.where(second, 3, first)
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


IDS_1 = np.zeros(SIZE, np.uint8)
IDS_1[5:20, 10:30] = 1


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mask("png", palette="rgb"), "palette must be 'panoptic', or colours (red, green, blue) or grey values, each once, in the order of their class ids or as a mapping to them, got 'rgb'."),
        (lambda: Mask("png", palette=[]), "palette must be 'panoptic', or "),
        (lambda: Mask("png", palette=[0, (1, 2, 3)]), "palette must be 'panoptic', or "),
        (lambda: Mask("png", palette=[3, 3]), "palette must be 'panoptic', or "),
        (lambda: Mask("png", palette=[(0, 0, 256)]), "palette must be 'panoptic', or "),
        (lambda: Mask("png", palette={0: 0.5}), "palette must be 'panoptic', or "),
        (lambda: Mask("png", labels="a"), "labels must be left out for a mask of pixels, got 'a'."),
        (lambda: Mask("png", background=255), "background must be left out for a mask of pixels, got 255."),
        (lambda: Mask("json:a", palette=[0, 1]), "palette must be left out for a mask of shapes, got ((0, 0), (1, 1))."),
        (lambda: Mask("json:a", labels=0), "labels must be the name of an entry, got 0."),
        (lambda: Mask("txt", labels="a"), "labels must be 0, the first number of a line, got 'a'."),
        (lambda: Mask("json:a", classes=["a"]), "labels must be given with classes, got None."),
        (lambda: Mask("json:a", labels="b", classes="abc"), "classes must be labels in the order of their class ids, or a mapping to them, got 'abc'."),
        (lambda: Mask("json:a", frame="percent"), "frame must be one of pixel, fraction, got 'percent'."),
        (lambda: Mask("json"), "source must be a member such as 'mask.png' or 'mask.npy', "),
        (lambda: Mask("txt;png"), "source must be a member such as 'mask.png' or 'mask.npy', "),
        (lambda: Mask("json:a").write({}, torch.zeros(1, 1), (1, 1)), "source must be an image or npy member to be written back to, got 'json:a' – warp shapes as InstanceMasks or Points."),
        (lambda: Mask(len).write({}, torch.zeros(1, 1), (1, 1)), "source must be a member to be written back to, got len."),
    ],
)  # fmt: skip
def test_masks_that_make_no_sense(make, message):
    """Each invalid argument is named with its value."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()


def test_masks_are_values():
    """Equal fields compare equal, they pickle, and their representation leaves out defaults."""
    field = Mask("png", palette={(0, 0, 0): 0, (9, 9, 9): 4})

    assert len({field, Mask("png", palette=[((0, 0, 0), 0), ((9, 9, 9), 4)]), Mask("png")}) == 2
    assert pickle.loads(pickle.dumps(field)) == field
    assert eval(repr(field)) == field
    assert repr(Mask("m.png")) == "Mask(source='m.png')"


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
