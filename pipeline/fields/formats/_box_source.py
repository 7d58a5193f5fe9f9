"""The source of boxes: a member of a kind that this package reads and writes, or a user's function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from foveal._choices import BoxFormat, Frame
from foveal.pipeline.fields._members import MemberError, find_member, kind_of, shown
from foveal.pipeline.fields.formats._box_file import BoxFile, BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName, columns_beside
from foveal.pipeline.fields.formats._json_boxes import JsonBoxes, write_together
from foveal.pipeline.fields.formats._json_document import goes_through_lists
from foveal.pipeline.fields.formats._json_items import JsonItems
from foveal.pipeline.fields.formats._json_rows import JsonRows
from foveal.pipeline.fields.formats._npy_boxes import NpyBoxes
from foveal.pipeline.fields.formats._numbers import numbers
from foveal.pipeline.fields.formats._source import LabelReader, MemberPath, member_path, name_of, read_with
from foveal.pipeline.fields.formats._voc_boxes import VocBoxes
from foveal.pipeline.fields.formats._yolo_boxes import YoloBoxes
from foveal.shards.naming import JSON

BOX_MEMBERS = JSON | {"npy", "txt", "xml"}
"""Kinds of member that may hold boxes."""


class BoxSource(Protocol):
    """Reads the boxes of a sample, and says where :func:`write_boxes` writes them back."""

    def read(self, members: Mapping[str, bytes], labels: Sequence[LabelName]) -> BoxTable:
        """Return a sample's boxes.

        Raises:
            MemberError: They are missing, or something else.
        """
        ...

    def file(self, members: Mapping[str, bytes]) -> BoxFile | None:
        """Return the file in which a sample has its boxes; None if it has none.

        Raises:
            ValueError: The boxes come from a function.
        """
        ...

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has no entry for boxes."""
        ...


def box_source(source: str | LabelReader, box_format: BoxFormat, frame: Frame) -> BoxSource:
    """Return the source of the boxes that a user names."""
    if isinstance(source, str):
        return _OfMember(member_path(source), box_format, frame)
    return _OfReader(source, box_format, frame)


def write_boxes(members: Mapping[str, bytes], new: Sequence[tuple[BoxSource, NewBoxes]]) -> dict[str, bytes]:
    """Return the members that change if a sample has these boxes instead, those of one JSON member written together."""
    changed: dict[str, bytes] = {}
    in_json: dict[str, list[tuple[JsonBoxes, NewBoxes]]] = {}
    for source, boxes in new:
        file = source.file(members)
        if isinstance(file, JsonBoxes):
            in_json.setdefault(file.member, []).append((file, boxes))
        elif file is not None:
            changed[file.member] = file.write(members[file.member], boxes)
    return changed | {member: write_together(members[member], those) for member, those in in_json.items()}


def usual_form(source: str | LabelReader) -> tuple[BoxFormat, Frame]:
    """Return the default format and frame of a source."""
    yolo = isinstance(source, str) and member_path(source).is_yolo
    return ("cxcywh", "fraction") if yolo else ("xyxy", "pixel")


@dataclass(frozen=True, slots=True)
class _OfMember:
    location: MemberPath
    format: BoxFormat
    frame: Frame

    def read(self, members: Mapping[str, bytes], labels: Sequence[LabelName]) -> BoxTable:
        file = self.file(members)
        if file is None:
            return BoxTable(np.empty((0, 4)), {name: [] for name in labels})
        return file.read(members[file.member], labels)

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        file = self.file(members)
        return file is None or not file.has_boxes(members[file.member])

    def file(self, members: Mapping[str, bytes]) -> BoxFile | None:
        member = self._member(members)
        if member is None:
            return None
        kinds: dict[str, type[BoxFile]] = {"npy": NpyBoxes, "txt": YoloBoxes, "xml": VocBoxes}
        in_json = JsonItems if goes_through_lists(self.location.path) else JsonRows
        kind = kinds.get(kind_of(member), in_json)
        return kind(member, self.location.path, self.format, self.frame)

    def _member(self, members: Mapping[str, bytes]) -> str | None:
        """Return the member that exists; None for a missing YOLO file."""
        if self.location.is_yolo and not self.location.is_there(members):
            return None
        return find_member(self.location.extensions, members)


@dataclass(frozen=True, slots=True)
class _OfReader:
    reader: LabelReader
    format: BoxFormat
    frame: Frame

    def read(self, members: Mapping[str, bytes], labels: Sequence[LabelName]) -> BoxTable:
        value = read_with(self.reader, members)
        rows = np.empty((0, 4)) if value is None else numbers(value)
        if rows is not None and rows.shape == (0,):
            rows = np.empty((0, 4))
        name = name_of(self.reader)
        if rows is None or rows.ndim != 2 or rows.shape[1] < 4:
            raise MemberError(f"{name} did not return (n, 4) numbers: {shown(value)}")
        return BoxTable(rows[:, :4], columns_beside(name, rows, labels, self.format))

    def file(self, members: Mapping[str, bytes]) -> BoxFile | None:
        del members
        raise ValueError(f"source must be a member to be written back to, got {name_of(self.reader)}.")

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        del members
        return False
