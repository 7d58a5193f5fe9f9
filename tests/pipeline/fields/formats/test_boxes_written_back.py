"""Boxes are written back to the files of labelling tools, and what else is in these stays."""

import json

import pytest
import torch
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.pipeline import Boxes
from foveal.pipeline.fields import ImageBoxes
from foveal.pipeline.fields.formats import JsonDocument
from tests.pipeline.fields.formats.box_files import FORMATS, SIZE, boxes_at, read, written
from tests.pipeline.fields.label_files import CORNERS, HEIGHT, WIDTH, js


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
