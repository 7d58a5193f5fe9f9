"""Labels that make a sample a bad one, and masks that fit their image or do not."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foveal.pipeline import BadSample, Boxes, Mask, Points
from foveal.pipeline.fields import MemberError, first_misfit
from tests.pipeline.fields.label_files import js
from tests.pipeline.fields.spatial import BOX, read
from tests.pipeline.making import encode, npy

MORE = "json b has rows of {} numbers, and labels must name one that is not of the box, such as labels=(4,): row 0 is "


@pytest.mark.parametrize(
    ("field", "content", "reason"),
    [
        (
            Boxes("json:a.boxes"),
            js({"a": BOX}),
            "json has a list on the way to a.boxes, and [] must follow its name: {'a': [[1, 2, 3.5, 8]]}",
        ),
        (Boxes("json:b.boxes"), js({"b": "x" * 99}), "json has no b.boxes: {'b': 'xxxxxxxxxxxx...xxxxxxxxxxxxx'}"),
        (Boxes("json:boxes"), js("x"), "json has no boxes: 'x'"),
        (Boxes("json:a[].boxes"), js({"a": {"boxes": 1}}), "json has no list for a[].boxes: {'a': {'boxes': 1}}"),
        (Boxes("json:b"), js({"b": "xxxx"}), "json b is not (n, 4) numbers: 'xxxx'"),
        (
            Boxes("json:b", format="xywh"),
            js({"b": [[1, 2], [3, 4]]}),
            "json b is not (n, 4) numbers: [[1, 2], [3, 4]]",
        ),
        (
            Boxes("json:b"),
            js({"b": [list(range(8))]}),
            MORE.format(8) + "[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, ...]",
        ),
        (
            Boxes("json:b", format="cxcywh"),
            js({"b": [[9, 9, 2, 2, 0.5]]}),
            MORE.format(5) + "[9.0, 9.0, 2.0, 2.0, 0.5]",
        ),
        (Boxes("json:b", labels=5), js({"b": [[1, 2, 3, 4, 5]]}), "json b has no column 5: row 0 is [1.0, 2.0, 3.0, 4.0, 5.0]"),
        (Boxes("npy", labels="a"), npy(np.array(BOX)), "npy has columns by numbers only, and labels name: 'a'"),
        (
            Boxes("json:b", labels="c"),
            js({"b": BOX, "c": [1, 2]}),
            "json c is not one entry for each of the boxes: 1 and [1, 2]",
        ),
        (Boxes("json:b", labels="c"), js({"b": BOX}), "json c is not one entry for each of the boxes: 1 and None"),
        (Boxes("json:boxes"), b"{", "json is not JSON: b'{'"),
        (Boxes("json:boxes"), b"[" * 10**5, f"json is not JSON: b'{'[' * 40}'..."),
        (Boxes("json:b"), js({"b": [[1, 2, 3]]}), "json b is not (n, 4) numbers: [[1, 2, 3]]"),
        (Boxes("json:b"), js({"b": {"x": 1}}), "json b is not (n, 4) numbers: {'x': 1}"),
        (
            Boxes("json:b"),
            js({"b": [[1, 2, 3, "4"]]}),
            "json b is not (n, 4) numbers: [[1, 2, 3, '4']]",
        ),
        (Boxes("json:b"), js({"b": [[True] * 4]}), "json b is not (n, 4) numbers: [[True, True, True, True]]"),
        (
            Boxes("json:b"),
            js({"b": [[1, 2, 3, 4], [1, 2]]}),
            "json b is not (n, 4) numbers: [[1, 2, 3, 4], [1, 2]]",
        ),
        (
            Boxes("json:b"),
            js({"b": [[10**999, 2, 3, 4.5]]}),
            f"json b is not (n, 4) numbers: [[1{'0' * 17}...{'0' * 19}, 2, 3, 4.5]]",
        ),
        (
            Boxes("json:b"),
            b'{"b": [[1, 2, 3, 4], [1, NaN, 3, 4]]}',
            "json b is not finite: row 1 is [1.0, nan, 3.0, 4.0]",
        ),
        (Boxes("json:b"), js({"b": [[0, 0, 1e300, 1]]}), "json b is not finite: row 0 is [0.0, 0.0, 1e+300, 1.0]"),
        (
            Boxes("json:b"),
            js({"b": [[0, 0, 1, 1], [5, 0, 3, 9]]}),
            "json b has exchanged corners, and may need format='xywh': row 1 is [5.0, 0.0, 3.0, 9.0]",
        ),
        (
            Boxes("json:b", format="xywh"),
            js({"b": [[5, 0, 3, -9]]}),
            "json b has a negative width or height: row 0 is [5.0, 0.0, 3.0, -9.0]",
        ),
        (Points("json:p"), js({"p": BOX}), "json p is not (n, 2) numbers: [1, 2, 3.5, 8]"),
        (Points("json:p"), js({"p": {"x": 1}}), "json p is not (n, 2) numbers: {'x': 1}"),
        (Points("json:p"), js({"p": [[1, 2], "x"]}), "json p is not (n, 2) numbers: [[1, 2], 'x']"),
        (Points("json:p"), js({"p": [1, True]}), "json p is not (n, 2) numbers: [1, True]"),
        (Points("json:p"), js({"p": [[1]]}), "json p is not (n, 2) numbers: [1]"),
        (Points("json:p"), js({"p": [[10**999, 1]]}), f"json p is not (n, 2) numbers: [1{'0' * 17}...{'0' * 19}, 1]"),
        (Points("json:p"), js({"p": [[[[[[[[[1, 2]]]]]]]]]}), "json p is not (n, 2) numbers: [[1, 2]]"),
        (
            Points("json:p"),
            js({"p": [1, 2, 3, 4, 5, 6]}),
            "json p may be pairs or triples, and format must say which: [1, 2, 3, 4, 5, 6]",
        ),
        (Points("json:p", format="xyv"), js({"p": [1, 2, 3, 4]}), "json p is not (n, 2) numbers: [1, 2, 3, 4]"),
        (Points("json:p"), b'{"p": [[1, Infinity]]}', "json p is not finite: row 0 is [1.0, inf]"),
        (
            Points("x.npy"),
            npy(np.zeros((2, 5))),
            "x.npy is not (n, 2) numbers: float64 of shape (2, 5)",
        ),
        (
            Points("x.npy"),
            npy(np.zeros((2, 2), dtype=complex)),
            "x.npy is not (n, 2) numbers: complex128 of shape (2, 2)",
        ),
        (Points("x.npy"), b"", "x.npy is not a NumPy array of numbers: b''"),
        (Points("json:p"), None, "member is missing: there is no json"),
        (Mask("m.png"), None, "member is missing: there is no m.png"),
        (Mask("m.png"), b"", "m.png is empty: 0 bytes"),
        (Mask("m.png"), b"junk", "m.png is nothing that DALI or Pillow knows: it begins with b'junk'"),
        (Mask("m.png"), encode(Image.new("RGB", (3, 2), "red"), "PNG"), "m.png has colours, and palette must say what they stand for: one is (255, 0, 0)"),
        (Mask("m.png"), encode(Image.new("LA", (3, 2)), "PNG"), "m.png holds no class ids: its pixels are LA, and some are transparent"),
        (
            Mask("m.png"),
            encode(Image.new("L", (40, 26)), "PNG"),
            "m.png has more pixels than max_pixels=1000: 26 × 40 pixels (height × width)",
        ),
    ],
)  # fmt: skip
def test_what_makes_a_sample_a_bad_one(field, content, reason):
    """The reason shows what was found, and its text before the colon is the same for all samples with this fault."""
    members = {} if content is None else {field.extensions[0].replace(".", "_"): content}
    with pytest.raises(MemberError, match=f"^{re.escape(reason)}$") as caught:
        read(field, **members)

    fault, _, detail = str(caught.value).partition(": ")
    assert BadSample("u", "k", str(caught.value), caught.value.kind).fault == fault == reason.split(":")[0]
    assert detail


def test_a_mask_that_is_cut():
    """The reason of a truncated mask ends with Pillow's message."""
    file = encode(np.random.default_rng(0).integers(0, 9, (30, 30), dtype=np.uint8), "PNG")
    with pytest.raises(MemberError, match=r"^m\.png is broken: Pillow says '.*'$"):
        read(Mask("m.png"), m_png=file[:-200])


@pytest.mark.parametrize(
    ("mask", "size"),
    [
        ((2667, 4000), (667, 1000)),
        ((4001, 6000), (400, 600)),
        ((667, 1000), (334, 500)),
        ((333, 500), (667, 1000)),
    ],
)
def test_masks_of_images_that_were_made_smaller_fit(mask, size):
    """A mask fits an image that was made smaller after it was drawn, and whose size was rounded."""
    assert misfit(mask, size) is None


def misfit(mask: tuple[int, int], size: tuple[int, int]) -> str | None:
    found = first_misfit({Mask("m.png"): torch.zeros(mask, dtype=torch.uint8)}, size)
    assert found is None or (found.kind, found.field) == ("bad_label", "Mask(source='m.png')")
    return found and str(found)


@settings(deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.floats(0.05, 4),
    st.sampled_from([np.floor, np.ceil, np.round]),
)
def test_masks_of_any_resolution_fit(height, width, scale, rounding):
    """A mask of another resolution fits, however its size or that of the image was rounded."""
    rows, cols = (max(1, int(rounding(side * scale))) for side in (height, width))
    if min(height, width) * scale >= 1:
        assert misfit((rows, cols), (height, width)) is None
        assert (
            misfit((height, width), (rows, cols)) is None
        )  # or the image's, if it was made smaller than its mask


@pytest.mark.parametrize(
    ("mask", "size"),
    [((30, 20), (20, 30)), ((101, 100), (100, 101)), ((20, 20), (20, 30)), ((19, 30), (20, 30))],
)
def test_masks_of_another_shape_do_not_fit(mask, size):
    """A rotated, square or cropped mask makes a bad sample whose reason states both sizes."""
    reason = f"m.png has another shape than the image: {mask[0]} × {mask[1]} on {size[0]} × {size[1]} pixels (height × width)"

    assert misfit(mask, size) == reason
