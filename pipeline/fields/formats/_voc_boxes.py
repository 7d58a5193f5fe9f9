"""Boxes in Pascal VOC's XML files."""

import re
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError, tostring

import numpy as np
from defusedxml.ElementTree import fromstring

from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields.formats._box_file import BoxFile, BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName
from foveal.pipeline.fields.formats._decimals import as_word, rounded

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_INTEGER = re.compile(r"\s*-?\d{1,18}\s*", re.ASCII)
_MOST_LEVELS = 50
_IN_OBJECTS = ("part", "point", "polygon", "robndbox")
"""Other elements of objects that have coordinates."""


class VocBoxes(BoxFile):
    """``<object><name>...</name><bndbox><xmin>...``; labels are other elements of its object.

    Coordinates are used unchanged. Files with a document type, which may define entities, are refused.
    """

    __slots__ = ()

    def read(self, content: bytes, labels: Sequence[LabelName]) -> BoxTable:
        """Return a box for each object; it is absent in objects without ``bndbox``."""
        root = _root(self.member, content)
        objects = root.findall("object")
        rows = np.array([self._row(each) for each in objects]).reshape(len(objects), 4)
        beside = {name: [_word(each.findtext(str(name))) for each in objects] for name in labels}
        return BoxTable(rows, beside, _size(root))

    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return the document with other boxes; an object is removed if its box is."""
        root = _root(self.member, content)
        stays = dict(zip(new.places, rounded(new.rows, self.frame), strict=True))
        for k, each in enumerate(root.findall("object")):
            if k in stays:
                for side, value in zip(_SIDES, stays[k], strict=True):
                    _put(each, f"bndbox/{side}", as_word(value))
            elif each.find("bndbox") is not None:
                root.remove(each)
        for name, length in zip(("height", "width"), new.size, strict=True):
            _put(root, f"size/{name}", str(length))
        return tostring(root)

    def _row(self, each: Element) -> list[float]:
        if each.find("bndbox") is None:
            return [np.nan] * 4
        words = [each.findtext(f"bndbox/{side}") for side in _SIDES]
        try:
            return [float(word or "") for word in words]
        except ValueError as error:
            raise MemberError(
                f"{self.member} has a bndbox that is not four numbers: {shown(words)}"
            ) from error


def located_elements(member: str, content: bytes) -> list[str]:
    """Return the names of the elements of objects that have coordinates but are no boxes of their own: parts, polygons.

    Raises:
        MemberError: It is not such a file.
    """
    root = _root(member, content)
    return [name for name in _IN_OBJECTS if root.find(f"object/{name}") is not None]


def without_elements(member: str, content: bytes, names: Sequence[str]) -> bytes:
    """Return a document whose objects have no elements of these names.

    Raises:
        MemberError: It is not such a file.
    """
    root = _root(member, content)
    for each in root.findall("object"):
        for found in [element for name in names for element in each.findall(name)]:
            each.remove(found)
    return tostring(root)


def _root(member: str, content: bytes) -> Element:
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:  # a document type, an unknown encoding
        raise MemberError(f"{member} is not XML without a document type: {shown(content)}") from error
    if _is_deep(root):
        raise MemberError(f"{member} is nested more than {_MOST_LEVELS} levels deep: {shown(content)}")
    return root


def _size(root: Element) -> tuple[int, int] | None:
    """Return the (height, width) of the image; some tools write zeros."""
    words = [root.findtext(f"size/{name}", "") for name in ("height", "width")]
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        return None
    return int(words[0]), int(words[1])


def _put(parent: Element, path: str, text: str) -> None:
    found = parent.find(path)
    if found is not None:
        found.text = text


def _word(text: str | None) -> Any:
    return int(text) if text is not None and _INTEGER.fullmatch(text) else text


def _is_deep(root: Element) -> bool:
    """Writing a deeper document would exceed Python's recursion limit."""
    level = [root]
    for _ in range(_MOST_LEVELS):
        level = [child for each in level for child in each]
    return bool(level)
