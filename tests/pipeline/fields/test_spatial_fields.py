"""Boxes, points and masks in a shard: how they are read, and which arguments make no sense."""

import json
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image

from foveal.pipeline import Boxes, Mask, Points
from tests.pipeline.fields.label_files import js
from tests.pipeline.fields.spatial import BOX, read
from tests.pipeline.making import encode, npy, png

NO_BOXES = (
    "source must be a json member with a path to the boxes in it, such as 'json:boxes' or 'json:annotations[].bbox', "
    "an npy, txt or xml member, or a function of the members, got "
)
NO_POINTS = (
    "source must be a json member with a path to the points in it, such as 'json:points' or "
    "'json:annotations[].keypoints', an npy member, or a function of the members, got "
)

NO_MASK = (
    "source must be a member such as 'mask.png' or 'mask.npy', a json member with a path to shapes, such as "
    "'json:annotations[].segmentation', 'txt', or a function of the members, got "
)


@pytest.mark.parametrize(
    ("field", "members"),
    [
        (Boxes("json:boxes"), {"json": js({"boxes": BOX, "more": "x"})}),
        (Boxes("json:a.b.Boxes"), {"json": js({"a": {"b": {"Boxes": BOX}}})}),
        (Boxes("json"), {"json": js(BOX)}),
        (Boxes("label.json:boxes"), {"label_json": js({"boxes": BOX})}),
        (Boxes("jsn;json:boxes"), {"json": js({"boxes": BOX})}),
        (Boxes("boxes.npy"), {"boxes_npy": npy(np.array(BOX, dtype=np.float16))}),
        (Boxes("json:boxes", format="xywh"), {"json": js({"boxes": [[1, 2, 2.5, 6]]})}),
        (Boxes("json:boxes", format="cxcywh"), {"json": js({"boxes": [[2.25, 5, 2.5, 6]]})}),
        (Boxes("json:boxes"), {"json": js({"boxes": BOX[0]})}),
        (Boxes("npy"), {"npy": npy(np.array(BOX[0]))}),
        (Boxes(lambda members: json.loads(members["json"])), {"json": js(BOX)}),
        (Boxes(lambda members: torch.tensor(json.loads(members["json"]))), {"json": js(BOX)}),
    ],
)
def test_boxes_are_read(field, members):
    """Boxes are read from any member and format, as corners."""
    boxes = read(field, **members)

    assert boxes.dtype == torch.float32
    assert boxes.tolist() == BOX


def test_points_are_read():
    """Points, integers or not, are read in their order."""
    assert read(Points("json:p"), json=js({"p": [[3, 4.5], [1, 2]]})).tolist() == [[3, 4.5], [1, 2]]
    assert read(Points("npy"), npy=npy(np.array([[3, 4]], dtype=np.uint8))).tolist() == [[3, 4]]


@pytest.mark.parametrize("empty", [js({"x": []}), js({"x": np.empty((0, 4)).tolist()})])
def test_none_at_all(empty):
    """An empty list means no box and no point."""
    assert read(Boxes("json:x"), json=empty).shape == (0, 4)
    assert read(Points("json:x"), json=empty).shape == (0, 2)
    assert read(Boxes("npy"), npy=npy(np.empty((0, 4)))).shape == (0, 4)


@settings(deadline=None)
@given(
    st_numpy.arrays(
        np.float64, st.tuples(st.integers(0, 5), st.just(4)), elements=st.floats(0, 5000, width=32)
    )
)
def test_formats_are_each_others(rows):
    """The same boxes in three formats are read as equal."""
    first, size = rows[:, :2], rows[:, 2:]
    written = {"xyxy": (first, first + size), "xywh": (first, size), "cxcywh": (first + size / 2, size)}
    seen = [
        read(Boxes("json:b", format=name), json=js({"b": np.concatenate(columns, 1).tolist()}))
        for name, columns in written.items()
    ]

    for other in seen[1:]:
        torch.testing.assert_close(seen[0], other, rtol=0, atol=2e-3)


@pytest.mark.parametrize("colours", [0, 3])
@pytest.mark.parametrize(
    ("depth", "row", "ids"),
    [
        (1, b"\xa0", [1, 0, 1, 0]),
        (2, b"\x1b", [0, 1, 2, 3]),
        (4, b"\x1f\x07", [1, 15, 0, 7]),
        (8, b"\x01\x02\x00\x09", [1, 2, 0, 9]),
    ],
)
def test_ids_are_what_the_file_stores(depth, row, ids, colours):
    """Ids are the stored palette indices or grey values, of every depth."""
    assert read(Mask("m.png"), m_png=png(depth, colours, [row, row], 4)).tolist() == [ids, ids]


def test_ids_of_other_files():
    """16 bits are read in either byte order; RGB counts if it is grey; a mask is rotated by EXIF."""
    ids = np.array([[0, 300, 65535], [1, 2, 3]], dtype=np.uint16)
    small = (ids % 256).astype(np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6

    assert read(Mask("m.png"), m_png=encode(ids, "PNG")).tolist() == ids.tolist()
    assert read(Mask("m.tif"), m_tif=encode(ids, "TIFF")).tolist() == ids.tolist()
    assert read(Mask("m.png"), m_png=encode(np.stack([small] * 3, -1), "PNG")).tolist() == small.tolist()
    assert (
        read(Mask("m.png"), m_png=encode(small, "PNG", exif=turned)).tolist() == np.rot90(small, -1).tolist()
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *(
            (make, NO_BOXES + f"{value!r}.")
            for make, value in [
                (lambda: Boxes("boxes"), "boxes"),
                (lambda: Boxes(""), ""),
                (lambda: Boxes(3), 3),
                (lambda: Boxes("txt:a"), "txt:a"),
                (lambda: Boxes("xml;json"), "xml;json"),
                (lambda: Boxes("json:a[.b"), "json:a[.b"),
            ]
        ),
        *(
            (make, NO_POINTS + f"{value!r}.")
            for make, value in [
                (lambda: Points("json:"), "json:"),
                (lambda: Points("json:a..b"), "json:a..b"),
                (lambda: Points("json:a:b"), "json:a:b"),
                (lambda: Points("npy:a"), "npy:a"),
                (lambda: Points("txt"), "txt"),
                (lambda: Points("__size__"), "__size__"),
            ]
        ),
        (lambda: Boxes("npy", frame="percent"), "frame must be one of pixel, fraction, got 'percent'."),
        (lambda: Points("npy", frame=None), "frame must be one of pixel, fraction, got None."),
        (lambda: Points("npy", format="yx"), "format must be one of xy, xyv, got 'yx'."),
        (lambda: Boxes("npy", labels=-1), "labels must be names or numbers of columns, each once, got -1."),
        (
            lambda: Boxes("npy", labels=("a", "a")),
            "labels must be names or numbers of columns, each once, got ('a', 'a').",
        ),
        (
            lambda: Boxes("json:boxes", format="yxyx"),
            "format must be one of xyxy, xywh, cxcywh, got 'yxyx'.",
        ),
        (lambda: Mask(""), NO_MASK + "''."),
        (lambda: Mask("png:a"), NO_MASK + "'png:a'."),
        (lambda: Mask(None), NO_MASK + "None."),
    ],
)
def test_fields_that_make_no_sense(make, message):
    """Each invalid argument is named with its value."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_fields_are_values():
    """Equal fields compare equal, and they pickle."""
    assert len({Boxes("json:b"), Boxes("json:b"), Boxes("json:b", format="xywh"), Points("json:b")}) == 3
    assert pickle.loads(pickle.dumps(Boxes("json:b", format="xywh"))) == Boxes("json:b", format="xywh")
