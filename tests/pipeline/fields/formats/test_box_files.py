"""Boxes as labelling tools write them are read."""

import json

import numpy as np
import pytest
import torch

from foveal.pipeline import Boxes
from foveal.pipeline.fields import ImageBoxes
from tests.pipeline.fields import label_files as files
from tests.pipeline.fields.formats.box_files import FORMATS, SIZE, pixels, read
from tests.pipeline.fields.label_files import CORNERS, js


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_are_read_with_what_belongs_to_them(name):
    """The same boxes with their classes are read from each format."""
    member, content, field, classes = FORMATS[name]
    label = read(field, member, content)

    assert pixels(field, label) == CORNERS
    assert label.places.tolist() == [0, 1, 2]
    assert list(label.labels.values()) == [classes]
    assert field.misfit(label, SIZE) is None
    assert not field.is_absent({member: content})


@pytest.mark.parametrize("name", [name for name, (member, *_) in FORMATS.items() if member != "npy"])
def test_boxes_in_texts_of_windows(name):
    """Texts with a byte order mark and Windows line ends are read."""
    member, content, field, classes = FORMATS[name]
    text = content.replace(b"\n", b"\r\n").replace(b"><", b">\r\n<").replace(b", ", b",\r\n")
    label = read(field, member, b"\xef\xbb\xbf" + text)

    assert pixels(field, label) == CORNERS
    assert list(label.labels.values()) == [classes]


@pytest.mark.parametrize(
    ("field", "member", "content", "corners", "places"),
    [
        (Boxes("json:b"), "json", js({"b": [None, [1, 2, 3, 4]]}), [[1, 2, 3, 4]], [1]),
        (Boxes("json:b"), "json", js({"b": [[None] * 4, [1, 2, 3, 4]]}), [[1, 2, 3, 4]], [1]),
        (Boxes("json:b"), "json", b'{"b": [[NaN, NaN, NaN, NaN], [1, 2, 3, 4]]}', [[1, 2, 3, 4]], [1]),
        (Boxes("json:b"), "json", js({"b": [None, [1, 2, 3, 4, 9]]}), [[1, 2, 3, 4]], [1]),
        (Boxes("json:b"), "json", js({"b": [None, None]}), [], []),
        (Boxes("json:b"), "json", js({"b": [[], [1, 2, 3, 4]]}), [[1, 2, 3, 4]], [1]),
        (Boxes("json:a[].b"), "json", js({"a": [{"b": []}, {"b": [1, 2, 3, 4]}]}), [[1, 2, 3, 4]], [1]),
        (
            Boxes("json:shapes[].points"),
            "json",
            js({"shapes": [{"points": [], "shape_type": "polygon"}, {"points": [[1, 2], [3, 4]]}]}),
            [[1, 2, 3, 4]],
            [1],
        ),
        (Boxes("json:shapes[].points"), "json", js({"shapes": [{"points": []}]}), [], []),
        (Boxes("json:b"), "json", js({"b": None}), [], []),
        (Boxes("json:b"), "json", js({"c": 1}), [], []),
        (Boxes("json:a.b"), "json", js({"a": None}), [], []),
        (Boxes("json:b"), "json", js([]), [], []),
        (Boxes("json:a[].b"), "json", js({}), [], []),
        (Boxes("json:a[].b"), "json", js({"a": []}), [], []),
        (Boxes("json:a[].b"), "json", js({"a": [{}, {"b": None}, {"b": [1, 2, 3, 4]}]}), [[1, 2, 3, 4]], [2]),
        (Boxes("json:a[].b"), "json", js({"a": [None, {"b": [1, 2, 3, 4]}]}), [[1, 2, 3, 4]], [1]),
        (Boxes("json:[].b"), "json", js([{"b": [1, 2, 3, 4]}]), [[1, 2, 3, 4]], [0]),
        (Boxes("json:a[]"), "json", js({"a": [[1, 2, 3, 4], None]}), [[1, 2, 3, 4]], [0]),
        (Boxes("json:p[].q[].b"), "json", js({"p": [{"q": [{"b": [1, 2, 3, 4]}]}, {}]}), [[1, 2, 3, 4]], [0]),
        (Boxes("npy"), "npy", files.npy(np.array([[np.nan] * 4, [1, 2, 3, 4]])), [[1, 2, 3, 4]], [1]),
        (Boxes("txt"), "txt", b"", [], []),
        (Boxes("txt"), "cls", b"", [], []),
        (Boxes("xml"), "xml", b"<annotation><object><name>a</name></object></annotation>", [], []),
        (Boxes(lambda _: None), "json", b"", [], []),
        (Boxes(lambda _: []), "json", b"", [], []),
    ],
)
def test_boxes_that_are_absent(field, member, content, corners, places):
    """Absent boxes are left out, the others keep their numbers, and the sample is good."""
    label = read(field, member, content)

    assert label.corners.shape == (len(corners), 4)
    assert label.corners.tolist() == corners
    assert label.places.tolist() == places


def test_boxes_around_points():
    """Boxes are computed around LabelMe's circles, polygons of different lengths and pairs of corners."""
    circle = {"shape_type": "circle", "points": [[20, 20], [23, 24]]}
    polygon = {"shape_type": "polygon", "points": [[1, 2], [9, 5], [4, 8]]}
    line = {"shape_type": "line", "points": [[1, 2], [9, 5]]}
    shapes = read(Boxes("json:shapes[].points"), "json", js({"shapes": [circle, line, polygon]}))

    assert shapes.corners.tolist() == [[15, 15, 25, 25], [1, 2, 9, 8]]
    assert shapes.places.tolist() == [0, 2]
    corners = js({"b": [[[1, 2], [3, 4]], [[9, 9], [5, 6]]]})
    assert read(Boxes("json:b"), "json", corners).corners.tolist() == [[1, 2, 3, 4], [5, 6, 9, 9]]
    assert read(Boxes("json:b"), "json", js({"b": [[1, 2], [3, 4], [2, 9]]})).corners.tolist() == [
        [1, 2, 3, 9]
    ]


def test_labels_of_absent_boxes_are_left_out():
    """Labels are delivered for the boxes that are present."""
    content = js({"boxes": [None, [1, 2, 3, 4]], "labels": ["a", "b"]})

    assert read(Boxes("json:boxes", labels="labels"), "json", content).labels == {"labels": ["b"]}
    for count in range(1, 7):  # four nulls are no box of four numbers
        absent = js({"boxes": [None] * count, "labels": list(range(count))})
        field = Boxes("json:boxes", labels="labels")
        assert read(field, "json", absent).labels == {"labels": []}
        none = ImageBoxes(torch.empty(0, 4), torch.empty(0, dtype=torch.int64), {})
        assert json.loads(field.write({"json": absent}, none, SIZE)["json"]) == {
            "boxes": [], "boxes_kept": [], "labels": [],
        }  # fmt: skip
    assert read(
        Boxes("json:a[].b", labels=("c", "d")), "json", js({"a": [{"b": [1, 2, 3, 4], "c": 1}]})
    ).labels == {
        "c": [1],
        "d": [None],
    }


@pytest.mark.parametrize("name", ["COCO", "LabelMe", "Pascal VOC"])
def test_labels_of_an_image_of_another_size_do_not_fit(name):
    """If the image size that a label file states is not that of the image, the sample is bad."""
    member, content, field, _ = FORMATS[name]
    reason = field.misfit(read(field, member, content), (96, 128))

    assert (
        reason
        == f"{field.name} is of an image of another size: 48 × 64, and this one has 96 × 128 pixels (height × width)"
    )


def test_sizes_that_say_nothing():
    """A stated image size of zero is ignored, because some tools write zeros."""
    content = files.voc().replace(b"<width>64", b"<width>0").replace(b"<height>48", b"<height>0")

    assert read(Boxes("xml"), "xml", content).size is None


def test_an_own_reader_is_given_all_members():
    """A user's function gets all members; its result is read in the named format and frame."""
    seen = []

    def reader(members):
        seen.append(dict(members))
        return np.array([[0.5, 0.5, 0.5, 0.5, 3]])

    field = Boxes(reader, format="cxcywh", frame="fraction", labels=4)
    label = field.read({"a": b"1", "b": b"2"}, max_pixels=None)

    assert seen == [{"a": b"1", "b": b"2"}]
    assert pixels(field, label, (100, 200)) == [[50, 25, 150, 75]]
    assert label.labels == {4: [3]}
    with pytest.raises(ValueError, match=r"source must be a member to be written back to, got .*reader\."):
        field.write({}, label, (1, 1))
