"""The source of points: JSON, an array, or a user's function."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from foveal._choices import Frame, PointFormat
from foveal.pipeline.fields._members import (
    MemberError,
    encode_array,
    find_member,
    kind_of,
    parse_content,
    shown,
)
from foveal.pipeline.fields.formats._decimals import rounded
from foveal.pipeline.fields.formats._json_document import JsonDocument
from foveal.pipeline.fields.formats._numbers import numbers
from foveal.pipeline.fields.formats._point_lists import put_points, read_points
from foveal.pipeline.fields.formats._source import LabelReader, MemberPath, member_path, name_of, read_with
from foveal.shards.naming import JSON

POINT_MEMBERS = JSON | {"npy"}
"""Kinds of member that may hold points."""


class PointTable(NamedTuple):
    """The points of one sample, as in its member."""

    points: Any
    """(n, 2) float64 in the member's own frame; NaN for an absent one."""

    size: tuple[int, int] | None = None
    """The (height, width) that the member says its image has, if it does."""


class PointSource(Protocol):
    """Reads the points of a sample, and writes them back."""

    def read(self, members: Mapping[str, bytes]) -> PointTable:
        """Return a sample's points.

        Raises:
            MemberError: They are missing, or something else.
        """
        ...

    def write(self, members: Mapping[str, bytes], points: Any, size: tuple[int, int]) -> dict[str, bytes]:
        """Return the members that change if these (n, 2) are the sample's points, in an image of this (height, width)."""
        ...

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has no entry for points."""
        ...


def point_source(source: str | LabelReader, point_format: PointFormat | None, frame: Frame) -> PointSource:
    """Return the source of the points that a user names."""
    if isinstance(source, str):
        return _OfMember(member_path(source), point_format, frame)
    return _OfReader(source)


@dataclass(frozen=True, slots=True)
class _OfMember:
    location: MemberPath
    format: PointFormat | None
    frame: Frame

    def read(self, members: Mapping[str, bytes]) -> PointTable:
        member = find_member(self.location.extensions, members)
        if kind_of(member) == "npy":
            return PointTable(_of_array(parse_content(member, members[member]), member))
        document = JsonDocument(member, members[member])
        name = f"{member} {self.location.path}".strip()
        slots = document.slots(self.location.path)
        points = read_points([slot.value for slot in slots], self.format, name)
        return PointTable(np.array(points, np.float64).reshape(-1, 2), document.stated_size())

    def write(self, members: Mapping[str, bytes], points: Any, size: tuple[int, int]) -> dict[str, bytes]:
        member = find_member(self.location.extensions, members)
        if kind_of(member) == "npy":
            array = parse_content(member, members[member]).astype(np.float32)
            if array.size:
                old, new = array[..., :2], points.reshape(*array.shape[:-1], 2)
                array[..., :2] = np.where(np.isnan(new), old, new)
            return {member: encode_array(array)}
        document = JsonDocument(member, members[member])
        new = iter(rounded(points, self.frame))
        put_points([slot.value for slot in document.slots(self.location.path)], new, self.format, member)
        document.restate_size(size, self.location.path)
        return {member: document.encode()}

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        member = find_member(self.location.extensions, members)
        return kind_of(member) in JSON and not JsonDocument(member, members[member]).has(self.location.path)


@dataclass(frozen=True, slots=True)
class _OfReader:
    reader: LabelReader

    def read(self, members: Mapping[str, bytes]) -> PointTable:
        value = read_with(self.reader, members)
        return PointTable(_of_array([] if value is None else value, f"{name_of(self.reader)}'s result"))

    def write(self, members: Mapping[str, bytes], points: Any, size: tuple[int, int]) -> dict[str, bytes]:
        del members, points, size
        raise ValueError(f"source must be a member to be written back to, got {name_of(self.reader)}.")

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        del members
        return False


def _of_array(array: Any, name: str) -> Any:
    """Return the points of an array (..., 2), or (..., 3) with a visibility."""
    values = numbers(array)
    if values is not None and values.shape == (0,):
        return np.empty((0, 2))
    if values is None or values.ndim < 2 or values.shape[-1] not in (2, 3):
        held = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else shown(array)
        raise MemberError(f"{name} is not (n, 2) numbers: {held}")
    rows = values.reshape(-1, values.shape[-1])
    absent = np.isnan(rows[:, :2]).any(axis=1) | (rows[:, 2:] == 0).any(axis=1)
    return np.where(absent[:, None], np.nan, rows[:, :2])
