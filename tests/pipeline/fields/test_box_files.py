"""Boxes as labelling tools write them are read, and written back."""

import json

import numpy as np
import pytest
import torch
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.pipeline import Boxes
from foveal.pipeline.fields import ImageBoxes
from foveal.pipeline.fields.formats import JsonDocument
from tests.pipeline.fields import label_files as files
from tests.pipeline.fields.label_files import CORNERS, HEIGHT, IDS, NAMES, WIDTH, js

SIZE = HEIGHT, WIDTH
FORMATS = {
    "COCO": (
        "json",
        files.coco(),
        Boxes("json:annotations[].bbox", format="xywh", labels="category_id"),
        IDS,
    ),
    "LabelMe": ("json", files.labelme(), Boxes("json:shapes[].points", labels="label"), NAMES),
    "Pascal VOC": ("xml", files.voc(), Boxes("xml", labels="name"), NAMES),
    "YOLO": ("txt", files.yolo(), Boxes("txt", labels=0), IDS),
    "rows": ("json", files.rows_with_scores(), Boxes("json:boxes", labels=5), IDS),
    "lists": ("json", files.lists_side_by_side(), Boxes("json:boxes", labels="labels"), NAMES),
    "array": ("npy", files.array(), Boxes("npy", labels=4), IDS),
}


def read(field, member, content):
    return field.read({member: content}, max_pixels=None)


def pixels(field, label, size=SIZE):
    return field.in_pixels(label, size).tolist()


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


def check_written(name, places, corners, size):
    """Check that what was written is read as these boxes, each with the labels of its original."""
    member, content, field, classes = FORMATS[name]
    new = ImageBoxes(torch.tensor(corners).reshape(-1, 4), torch.tensor(places, dtype=torch.int64), {})
    written = field.write({member: content, "other": b""}, new, size)
    label = read(field, member, written[member])

    assert set(written) == {member}
    torch.testing.assert_close(
        field.in_pixels(label, size), torch.tensor(corners).reshape(-1, 4), rtol=0, atol=1e-3
    )
    assert list(label.labels.values()) == [[classes[place] for place in places]]
    assert field.misfit(label, size) is None


@settings(deadline=None)
@given(
    st.sampled_from(list(FORMATS)),
    st.sets(st.integers(0, 2)),
    st.lists(
        st.tuples(*[st.floats(0, 20, width=32), st.floats(2, 10, width=32)] * 2), min_size=3, max_size=3
    ),
)
def test_boxes_are_written_back(name, left, boxes):
    """Boxes are written back in their format, each with its class, whichever of them are left."""
    places = sorted(left)
    corners = [[x, y, x + w, y + h] for (x, w, y, h), _ in zip(boxes, places, strict=False)]

    check_written(name, places, corners, (32, 40))


@pytest.mark.parametrize("name", FORMATS)
def test_a_wrong_box_would_be_seen(name, monkeypatch):
    """The check above fails if boxes are written one pixel off, or with other labels."""
    right = Boxes.write
    for wrong in (
        lambda new: new._replace(corners=new.corners + 1),
        lambda new: new._replace(places=new.places + 1),
    ):
        monkeypatch.setattr(Boxes, "write", lambda self, m, new, s, w=wrong: right(self, m, w(new), s))
        with pytest.raises(AssertionError):
            check_written(name, [0, 1], [[1.0, 2, 5, 9], [3, 4, 8, 12]], (32, 40))


def written(name, places=(0, 2)):
    member, content, field, _ = FORMATS[name]
    boxes = ImageBoxes(torch.tensor([[1.0, 2, 3, 4.00004]] * len(places)), torch.tensor(places), {})
    return field.write({member: content}, boxes, (32, 40))[member]


def test_a_size_beside_the_boxes():
    """The size of COCO's description of an image is updated if it lies beside the boxes, but a box that is all of the document has its own."""
    boxes = ImageBoxes(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([0]), {})
    content = json.dumps({"boxes": [[9, 9, 10, 10]], "width": 200, "height": 120, "id": 5}).encode()
    beside = json.loads(Boxes("json:boxes").write({"json": content}, boxes, (32, 40))["json"])
    alone = json.dumps({"height": 7, "width": 9, "bbox": [9, 9, 10, 10]}).encode()
    document = JsonDocument("json", alone)
    document.restate_size((32, 40), "")

    assert beside == {"boxes": [[1, 2, 3, 4]], "boxes_kept": [0], "width": 40, "height": 32, "id": 5}
    assert json.loads(document.encode()) == json.loads(alone)


def test_what_else_is_in_json_stays():
    """Items of dropped boxes are removed, lists that were named are filtered, and a stated image size is updated."""
    coco, labelme = json.loads(written("COCO")), json.loads(written("LabelMe"))
    lists, rows = json.loads(written("lists")), json.loads(written("rows"))

    assert coco == {
        "image": {"width": 40, "height": 32, "file_name": "a.jpg"},
        "annotations": [
            {"id": 10, "bbox": [1, 2, 2, 2], "category_id": 3, "iscrowd": 0},
            {"id": 12, "bbox": [1, 2, 2, 2], "category_id": 3, "iscrowd": 0},
        ],
    }
    assert [shape["label"] for shape in labelme["shapes"]] == ["cat", "cat", "nose"]
    assert labelme["shapes"][0]["points"] == [[1, 2], [3, 4]]
    assert (labelme["imageHeight"], labelme["imageWidth"], labelme["imageData"]) == (32, 40, None)
    assert lists == {
        "boxes": [[1, 2, 3, 4]] * 2,
        "boxes_kept": [0, 2],
        "labels": ["cat", "cat"],
        "more": 1,
    }
    assert rows == {"boxes": [[1, 2, 3, 4, 0.5, 3]] * 2, "boxes_kept": [0, 2]}
    assert Boxes("json").write(
        {"json": js(CORNERS)}, ImageBoxes(torch.ones(1, 4), torch.tensor([1]), {}), SIZE
    ) == {"json": b"[[1.0, 1.0, 1.0, 1.0]]"}


def boxes_at(*places):
    return ImageBoxes(
        torch.tensor([[1.0, 2, 3, 4]] * len(places)).reshape(-1, 4),
        torch.tensor(places, dtype=torch.int64),
        {},
    )


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ([], [1], [{"b": None, "q": [{"c": [1, 2, 3, 4]}]}, {"q": []}]),
        ([0], [], [{"b": [1, 2, 3, 4], "q": []}, {"q": []}]),
        ([], [2], [{"q": [{"c": [1, 2, 3, 4]}]}]),
        ([], [], [{"q": []}]),
    ],
)  # fmt: skip
def test_boxes_of_items_in_items(outer, inner, expected):
    """An item stays as long as a box in it is left, also one of an item within it."""
    old = {"p": [{"b": [9] * 4, "q": [{"c": [9] * 4}, {"c": [9] * 4}]}, {"q": [{"c": [9] * 4}]}]}
    labels = {Boxes("json:p[].b"): boxes_at(*outer), Boxes("json:p[].q[].c"): boxes_at(*inner)}
    for order in (labels, dict(reversed(labels.items()))):
        assert json.loads(Boxes.write_all({"json": js(old)}, order, SIZE)["json"])["p"] == expected


def test_single_boxes_with_the_same_labels():
    """A box that is gone is null beside the label of another one that is left, and is read as absent."""
    labels = {Boxes("json:a", labels="ids"): boxes_at(), Boxes("json:b", labels="ids"): boxes_at(0)}
    members = {"json": js({"a": [1, 2, 3, 4], "b": [1, 2, 3, 4], "ids": [5]})}
    written = Boxes.write_all(members, labels, SIZE)

    assert json.loads(written["json"]) == {
        "a": [None], "b": [1, 2, 3, 4], "ids": [5], "a_kept": [0], "b_kept": [0],
    }  # fmt: skip
    assert [read(field, "json", written["json"]).labels["ids"] for field in labels] == [[], [5]]


def test_what_else_is_in_other_files_stays():
    """Confidences in YOLO's lines, elements of VOC's documents and columns of arrays are kept."""
    voc = fromstring(written("Pascal VOC"))
    boxes = ImageBoxes(torch.tensor([[4.0, 8, 20, 24]]), torch.tensor([1]), {})

    assert [each.findtext("name") for each in voc.findall("object")] == ["cat", "cat"]
    assert voc.findtext("filename") == "a.jpg"
    assert [voc.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["40", "32", "3"]
    assert voc.findtext("object/bndbox/xmax") == "3"
    assert Boxes("txt").write({"txt": b"1 .5 .5 1 1 0.90\n2 .5 .5 1 1 .80\n"}, boxes, (32, 40)) == {
        "txt": b"2 0.3 0.5 0.4 0.5 .80\n"
    }


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


@pytest.mark.parametrize(
    ("source", "member", "content", "absent"),
    [
        ("json:b", "json", js({}), True),
        ("json:b", "json", js({"b": None}), True),
        ("json:b", "json", js({"b": []}), False),
        ("json:a[].b", "json", js({"a": []}), False),
        ("json:a[].b", "json", js({"a": [{}]}), True),
        ("json:a[].b", "json", js({"a": [{}, {"b": [1, 2, 3, 4]}]}), False),
        ("txt", "cls", b"", True),
        ("txt", "txt", b"", False),
        ("xml", "xml", b"", False),
    ],
)
def test_where_there_is_no_place_for_boxes(source, member, content, absent):
    """A missing entry counts as absent, an empty list as no boxes."""
    assert Boxes(source).is_absent({member: content}) is absent


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


def test_the_size_in_a_list_of_one_image():
    """The size in COCO's list of images is read and updated if there is one image; of several none is known to be this one."""
    field = Boxes("json:annotations[].bbox", format="xywh")
    image = {"id": 1, "width": WIDTH, "height": HEIGHT}
    annotations = [{"bbox": [1, 2, 3, 4]}]
    one, two = (js({"images": [image] * count, "annotations": annotations}) for count in (1, 2))
    written = [
        json.loads(field.write({"json": each}, boxes_at(0), (32, 40))["json"])["images"]
        for each in (one, two)
    ]

    assert read(field, "json", one).size == SIZE
    assert "of another size: 48 × 64" in field.misfit(read(field, "json", one), (96, 128))
    assert read(field, "json", two).size is None
    assert written == [[{"id": 1, "width": 40, "height": 32}], [image] * 2]


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
