"""Files of boxes that are damaged, dangerous, or of another image, make a bad sample with a reason."""

import re

import pytest
import torch

from foveal.pipeline import Boxes
from foveal.pipeline.fields import MemberError
from tests.pipeline.fields.label_files import js


def read(field, member, content):
    return field.read({member: content}, max_pixels=None)


@pytest.mark.parametrize(
    ("field", "content", "reason"),
    [
        (Boxes("txt"), b"1 2 3 4", "txt is not lines of class, x, y, width and height: b'1 2 3 4'"),
        (Boxes("txt"), b"a .1 .1 .1 .1", "txt is not lines of class, x, y, width and height: b'a .1 .1 .1 .1'"),
        (Boxes("txt"), b"1 2 3 4 5\n1 2 3", "txt is not lines of class, x, y, width and height: "),
        (Boxes("txt"), b"1 .1 .1 .2 .1 .2 .2", "txt is not lines of class, x, y, width and height, nor boxes around polygons without format='xyxy': "),
        (Boxes("txt"), b"1 .1 .1 .2 .1 .2 .2 .3", "txt is not lines of class, x, y, width and height: "),
        (Boxes("txt", labels=5), b"1 .5 .5 .1 .1", "txt has no column 5: row 0 is [1.0, 0.5, 0.5, 0.1, 0.1]"),
        (Boxes("txt"), b"1 .5 .5 inf .1", "txt is not finite: row 0 is [0.5, 0.5, inf, 0.1]"),
        (Boxes("xml"), b"<a>", "xml is not XML without a document type: b'<a>'"),
        (Boxes("xml"), b"", "xml is not XML without a document type: b''"),
        (
            Boxes("xml"),
            b'<!DOCTYPE a [<!ENTITY b "c">]><a/>',
            "xml is not XML without a document type: b'<!DOCTYPE a [<!ENTITY b \"c\">]><a/>'",
        ),
        (Boxes("xml"), b"<?xml version='1.0' encoding='x'?><a/>", "xml is not XML without a document type: "),
        (Boxes("xml"), b"<a>" * 60 + b"</a>" * 60, "xml is nested more than 50 levels deep: "),
        (
            Boxes("xml"),
            b"<a><object><bndbox><xmin>1</xmin><ymin>x</ymin></bndbox></object></a>",
            "xml has a bndbox that is not four numbers: ['1', 'x', None, None]",
        ),
        (Boxes("json:b"), b'{"b": [[1, NaN, 3, 4]]}', "json b is not finite: row 0 is [1.0, nan, 3.0, 4.0]"),
        (Boxes("json:a[].b"), js({"a": [{"b": [1, 2, 3]}]}), "json a[].b is not 4 numbers in each item: [[1, 2, 3]]"),
        (Boxes("json:a[].b"), js({"a": [1]}), "json has no a[].b: {'a': [1]}"),
        (Boxes(lambda m: torch.zeros(1, 4, requires_grad=True)), b"", "test_bad_box_files.<lambda> did not return (n, 4) numbers: tensor("),
        (Boxes(len), b"", "len did not return (n, 4) numbers: 1"),
        (Boxes(lambda m: m["none"]), b"", "test_bad_box_files.<lambda> failed: KeyError 'none'"),
    ],
)  # fmt: skip
def test_files_that_make_a_bad_sample(field, content, reason):
    """The reason shows what was found."""
    member = field.extensions[0] if field.extensions else "x"
    with pytest.raises(MemberError, match=re.escape(reason).replace("test_bad_box_files\\.", "")):
        read(field, member, content)


@pytest.mark.parametrize(
    "declared", ["", ' SYSTEM "a.dtd"', ' [<!ENTITY b "c">]', ' [<!ENTITY b SYSTEM "b.txt">]']
)
def test_documents_with_a_type(declared):
    """A document type is refused, so entities are neither expanded nor fetched."""
    with pytest.raises(MemberError, match="xml is not XML without a document type"):
        read(Boxes("xml"), "xml", f"<!DOCTYPE a{declared}><a/>".encode())


def test_deep_json_ends_in_an_error():
    """A document that is nested more deeply than Python's parser goes is an error of its member."""
    for content in (b"[" * 2_000, b'{"a":' * 2_000):
        with pytest.raises(MemberError):
            read(Boxes("json:a[].b"), "json", content)


@pytest.mark.parametrize(
    ("field", "size", "reason"),
    [
        (Boxes("json:b"), (480, 640), 'json b can only be fractions of the image, and needs frame="fraction": one is [0.25, 0.5, 0.75, 1.0]'),
        (Boxes("json:b"), (2, 2), None),
        (Boxes("json:b", frame="fraction"), (480, 640), None),
        (Boxes("json:i"), (480, 640), None),
        (Boxes("json:p", frame="fraction"), (480, 640), 'json p is beyond fractions of the image, and frame="pixel" is for pixels: one is [3.0, 4.0, 9.0, 9.0]'),
        (Boxes("json:e"), (480, 640), None),
        (Boxes("json:s.boxes"), (480, 640), None),
    ],
)  # fmt: skip
def test_another_frame_is_not_taken_silently(field, size, reason):
    """Fractions given as pixels, and pixels given as fractions, are refused; numbers that could be either are accepted."""
    content = js(
        {
            "b": [[0.25, 0.5, 0.75, 1]],
            "i": [[0, 0, 1, 1]],
            "p": [[0, 0, 1, 1], [3, 4, 9, 9]],
            "e": [],
            "s": {"boxes": [[0.5, 0.5, 0.75, 0.75], [3, 4, 9, 9.5]]},
        }
    )

    assert field.misfit(read(field, "json", content), size) == reason
