"""The fields of a batch."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.pipeline import Boxes, Points
from foveal.pipeline.fields import (
    MemberError,
    called,
    collate,
    guide_of,
    map_guide_of,
    parse_fields,
    parse_member,
)
from foveal.pipeline.fields._fields import OWN_FIELDS
from foveal.sampler import BoxSaliency, MapSaliency, SaliencySampler, ZoomNeeds
from tests.pipeline.making import npy


def test_the_page_on_the_loader_has_all_of_its_own_fields():
    """The section "Fields" of docs/loader.md lists all of the loader's own fields, and no others."""
    page = (Path(__file__).parents[3] / "docs" / "loader.md").read_text()
    table = page.split("## Fields")[1].split("##")[0]

    assert set(re.findall(r'"(__\w+__)"', table)) == set(OWN_FIELDS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            ("image", "__foo__"),
            "fields must be member extensions, Boxes, Points, Mask, Saliency or one of image, __key__, __url__, __index__, __members__, __size__, __valid__, __grid__, __saliency__, __view__, got '__foo__'.",
        ),
        (("image", ""), "got ''."),
        (("image", 3), "got 3."),
        (("cls",), "fields must name exactly one image and nothing twice, got ('cls',) – "),
        (("image", "jpg"), "fields must name exactly one image and nothing twice, got ('image', 'jpg') – "),
        (
            ("image", "cls", "cls"),
            "fields must name exactly one image and nothing twice, got ('image', 'cls', 'cls') – ",
        ),
    ],
)
def test_fields_that_make_no_sense(fields, message):
    """Each invalid field is named as it was given."""
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_fields(fields)


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        (("input.jpg", "cls"), "input.jpg"),
        (("0.jpg", "__key__"), "0.jpg"),
        (("cls", "left.png", "json"), "left.png"),
        (("tif", "cls"), "tif"),
        (("image", "mask.png"), "jpg;jpeg;png;webp"),
        (("jpg", "mask.png", "depth.png"), "jpg"),
        (("img", "cls", "txt", "json"), "img"),
        (("bin", "cls", "npy"), "npy"),
        (("left.avif;right.avif", "cls"), "left.avif;right.avif"),
        (("jpg;img", "cls", "bin"), "jpg;img"),
        (("photo.JPG", "cls"), "photo.jpg"),
    ],
)
def test_which_field_is_the_image(fields, image):
    """The image field is the one with an image's extension; without one a dotted one; without that one of unknown meaning."""
    assert parse_fields(fields).image_name == image


@pytest.mark.parametrize("fields", [("left.jpg", "right.jpg"), ("cls", "json"), ("img", "bin"), ("__key__",)])
def test_fields_of_which_none_or_several_could_be_the_image(fields):
    """If no field or several could be the image, the message says how to name it."""
    message = (
        f"fields must name exactly one image and nothing twice, got {fields!r} – name it by its member's extension, such as "
        '"tif" or "left.jpg", and ask for other images by "__members__".'
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_fields(fields)


def test_members_are_parsed_by_their_extension():
    """Numbers, JSON, text and arrays are parsed as by webdataset; unknown extensions stay bytes."""
    fields = parse_fields(("image", "cls", "json", "txt", "npy", "bin", "a.cls", "__key__"))
    members = {
        "jpg": b"J", "cls": b" 7\n", "json": b'{"a": [1]}', "txt": "ä".encode(), "npy": npy(np.arange(3)),
        "bin": b"\x00", "a.cls": b"8", "other": b"",
    }  # fmt: skip

    labels = fields.labels(members)

    assert labels["cls"] == 7
    assert labels["json"] == {"a": [1]}
    assert labels["txt"] == "ä"
    assert labels["npy"].tolist() == [0, 1, 2]
    assert labels["bin"] == b"\x00"
    assert labels["a.cls"] == 8
    assert set(labels) == {"cls", "json", "txt", "npy", "bin", "a.cls"}
    assert fields.encoded_image(members) == b"J"
    assert fields.members == {"jpg", "jpeg", "png", "webp", "cls", "json", "txt", "npy", "bin", "a.cls"}


def test_alternatives_are_tried_in_their_order():
    """`png;jpg` takes the png if both are there."""
    assert parse_fields(("png;jpg",)).encoded_image({"jpg": b"J", "png": b"P"}) == b"P"
    assert parse_fields(("image", "cls;txt")).labels({"jpg": b"", "txt": b"x"}) == {"cls;txt": "x"}


@pytest.mark.parametrize(
    ("field", "members", "message"),
    [
        ("cls", {"jpg": b""}, "member is missing: there is no cls"),
        ("cls;txt", {"jpg": b""}, "member is missing: there is no cls or txt"),
        ("cls", {"cls": b"dog"}, "cls is not an integer: b'dog'"),
        ("cls", {"cls": b"1_0"}, "cls is not an integer: b'1_0'"),
        ("cls", {"cls": b"1" * 50}, "cls is not an integer of 64 bits: b'" + "1" * 40 + "'..."),
        ("json", {"json": b"{"}, "json is not JSON: b'{'"),
        ("txt", {"txt": b"\xff"}, r"txt is not UTF-8 text: b'\xff'"),
        ("npy", {"npy": b"x"}, "npy is not a NumPy array of numbers: b'x'"),
        ("npy", {"npy": npy(np.array([{}], dtype=object))}, "npy is not a NumPy array of numbers: "),
        ("npy", {"npy": npy(np.array(["a"]))}, "npy is not a NumPy array of numbers: "),
        ("npy", {"npy": npy(np.zeros(3, np.longdouble))}, "npy is not a NumPy array of numbers: "),
        ("npy", {"npy": npy(np.zeros(3)).replace(b"(3,)", b"(3,(")}, "npy is not a NumPy array of numbers: "),
        (
            "npy",
            {"npy": npy(np.zeros(3)).replace(b"(3,), }       ", b"(9000000000,) }")},
            "npy is not a NumPy array of numbers: ",
        ),
        (
            "npy",
            {"npy": npy(np.zeros(3)).replace(b"(3,), }            ", b"(900000000000000,)}")},
            "npy is not a NumPy array of numbers: ",
        ),
        ("npy", {"npy": npy(np.zeros(3)).replace(b"(3,)", b"03 ,")}, "npy is not a NumPy array of numbers: "),
    ],
)
def test_members_that_are_missing_or_wrong(field, members, message):
    """The reason names the member and shows its content; nothing is unpickled."""
    with pytest.raises(MemberError, match=re.escape(message)):
        parse_fields(("image", field)).labels(members)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, 127), st.sampled_from(b"'(){}[],:0123456789\\\n\0\xff")),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_array_is_a_bad_label(changes):
    """A damaged array is a bad label, whatever its header says."""
    content = bytearray(npy(np.arange(3.0)))
    for place, byte in changes:
        content[place] = byte
    try:
        held = parse_fields(("image", "npy")).labels({"npy": bytes(content)})["npy"].dtype.kind
    except MemberError as error:
        held = error.kind

    assert held in (*"biufc", "bad_label")


def test_a_missing_image():
    """The reason names all extensions that were tried."""
    with pytest.raises(MemberError, match="member is missing: there is no jpg or jpeg or png or webp"):
        parse_fields(("image",)).encoded_image({"cls": b"1"})


def test_collate():
    """Integers become int64, arrays of one shape are stacked, and everything else stays a list."""
    assert torch.equal(torch.tensor([1, 2]), collate("cls", [np.asarray(1), np.asarray(2)]))
    assert collate("cls", []).dtype == torch.int64
    assert collate("npy", [np.zeros((2, 3))] * 4).shape == (4, 2, 3)
    assert [tuple(t.shape) for t in collate("npy", [np.zeros(2), np.zeros(3)])] == [(2,), (3,)]
    assert collate("json", [1, 2]) == [1, 2]
    assert repr(collate("cls;txt", ["cat", np.asarray(5)])) == repr(["cat", 5])
    assert collate("txt", []) == []


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["?", "i1", "u2", "i4", "f2", "f8", "c8"])
def test_arrays_of_either_byte_order_are_joined(order, kind):
    """Arrays of one shape or of several, and none, become tensors of their values, whatever machine wrote them."""
    short, long = (np.arange(n).astype(order + kind) for n in (2, 3))
    read = [parse_fields(("image", "npy")).labels({"npy": npy(each)})["npy"] for each in (short, long)]

    assert torch.equal(
        collate("npy", [read[1]] * 2), torch.from_numpy(np.stack([np.arange(3).astype(kind)] * 2))
    )
    assert [each.tolist() for each in collate("npy", read)] == [short.tolist(), long.tolist()]
    assert collate("npy", [], lambda _: read[1]).shape == (0, 3)


def test_boxes_that_guide_the_zoom_are_those_of_the_fields():
    """Boxes that guide the zoom are read in the format that their field states, else in the default format."""
    guide, field = Boxes("json:b"), Boxes("json:b", format="xywh")

    assert parse_fields(("image", field), guide=guide).guide is field
    assert parse_fields(("image", Boxes("json:c", format="xywh")), guide=guide).guide is guide
    assert parse_fields(("image", Points("json:b")), guide=guide).guide is guide


def test_texts_may_begin_with_a_mark():
    """A byte order mark at the beginning of a text is removed."""
    members = {"cls": b"\xef\xbb\xbf3\r\n", "txt": b"\xef\xbb\xbfa dog", "json": b'\xef\xbb\xbf{"a": 1}'}

    assert [parse_member(name, members) for name in members] == [3, "a dog", {"a": 1}]


def test_an_argument_has_the_name_that_the_caller_gave_it():
    """An error about an argument gets the caller's name, and others stay as they are."""
    for words, said in [
        ("source must be a, got 1.", "boxes must be a, got 1."),
        ("format must be a, got 1.", "format must be a, got 1."),
        ("source is gone.", "source is gone."),
    ]:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"), called(source="boxes"):
            raise ValueError(words)


def test_what_a_zoom_needs_is_named_as_the_zoom_has_it():
    """A member that a saliency names, and that cannot hold its boxes or map, is an error with the name of its argument."""
    boxes = SaliencySampler(8, saliency=BoxSaliency("foo:"))
    with pytest.raises(ValueError, match=r"^boxes_from must be a json member with a path to the boxes in it"):
        guide_of(ZoomNeeds.of(boxes))
    maps = SaliencySampler(8, saliency=MapSaliency("foo"))
    with pytest.raises(ValueError, match=r"^maps_from must be an npy, json or image member"):
        map_guide_of(ZoomNeeds.of(maps))
