"""The source of masks: an image, an array, shapes in JSON or YOLO's text, or a user's function."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from foveal._choices import Frame
from foveal.pipeline.decoding import LabelImage
from foveal.pipeline.fields._members import (
    MemberError,
    encode_array,
    find_member,
    kind_of,
    parse_content,
    shown,
)
from foveal.pipeline.fields.formats import (
    JsonDocument,
    LabelName,
    LabelReader,
    MemberPath,
    member_path,
    name_of,
    read_with,
)
from foveal.pipeline.fields.masks._class_ids import Coding, image_of, smallest_kind
from foveal.pipeline.fields.masks._encoded_mask import encode_mask
from foveal.pipeline.fields.masks._shapes import Part, Shapes, parts_of
from foveal.pipeline.fields.masks._yolo_polygons import yolo_polygons


class MaskSource(Protocol):
    """Reads the mask of a sample, and writes it back."""

    def read(self, members: Mapping[str, bytes], max_pixels: int | None) -> Any:
        """Return a sample's class ids (height, width), or the shapes to paint.

        Raises:
            MemberError: It is missing, or something else.
        """
        ...

    def write(self, members: Mapping[str, bytes], ids: Any) -> dict[str, bytes]:
        """Return the members that change if a sample has these class ids instead."""
        ...

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has no entry for shapes."""
        ...


@dataclass(frozen=True, slots=True)
class PixelMask:
    """A member that is an image or an array.

    Attributes:
        location: Which member, and which path in it.
        coding: What its pixels stand for.
    """

    location: MemberPath
    coding: Coding

    def read(self, members: Mapping[str, bytes], max_pixels: int | None) -> Any:
        """Return the class ids."""
        member = find_member(self.location.extensions, members)
        return self.coding.ids(member, self._image(member, members, max_pixels))

    def write(self, members: Mapping[str, bytes], ids: Any) -> dict[str, bytes]:
        """Return the member with other class ids, in the same form: a PNG or an array."""
        member = find_member(self.location.extensions, members)
        old = self._image(member, members, None)
        values = self.coding.values(ids, like=old)
        if kind_of(member) == "npy":
            return {member: encode_array(values.astype(parse_content(member, members[member]).dtype))}
        return {member: encode_mask(values, old.palette if values.ndim == 2 else None)}

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return False: a missing mask makes a bad sample."""
        del members
        return False

    def _image(self, member: str, members: Mapping[str, bytes], max_pixels: int | None) -> LabelImage:
        content = members[member]
        if kind_of(member) != "npy":
            return image_of(member, content, max_pixels)
        return _image_of_array(member, parse_content(member, content), max_pixels)


@dataclass(frozen=True, slots=True)
class ReadMask:
    """A mask that a user's function returns.

    Attributes:
        reader: The function.
        coding: What its pixels stand for.
    """

    reader: LabelReader
    coding: Coding

    def read(self, members: Mapping[str, bytes], max_pixels: int | None) -> Any:
        """Return the class ids."""
        name = f"{name_of(self.reader)}'s result"
        return self.coding.ids(name, _image_of_array(name, read_with(self.reader, members), max_pixels))

    def write(self, members: Mapping[str, bytes], ids: Any) -> dict[str, bytes]:
        """Raise, because there is no member to write to."""
        del members, ids
        raise ValueError(f"source must be a member to be written back to, got {name_of(self.reader)}.")

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return False."""
        del members
        return False


@dataclass(frozen=True, slots=True)
class ShapeMask:
    """Shapes in a JSON document, or in YOLO's lines.

    Attributes:
        source: The source as the user wrote it.
        frame: The unit of corners.
        label: The entry beside a shape, or the column, that is its class; None to number the shapes, from 1.
        classes: The class id of each label; None if labels are class ids.
        background: The class id of pixels that no shape covers.
    """

    source: str
    frame: Frame
    label: LabelName | None
    classes: tuple[tuple[Any, int], ...] | None
    background: int

    def read(self, members: Mapping[str, bytes], max_pixels: int | None) -> Shapes:
        """Return the shapes; there are none if YOLO's file is missing."""
        location = member_path(self.source)
        if location.is_yolo:
            found, stated = self._in_text(location, members), None
        else:
            member = find_member(location.extensions, members)
            document = JsonDocument(member, members[member])
            found, stated = self._in_json(document, location.path, max_pixels), document.stated_size()
        parts = [
            (self._id(k, label), part)
            for k, (label, shape) in enumerate(found)
            for part in shape
        ]  # fmt: skip
        return Shapes(parts, self.frame, self.background, stated, len(found))

    def write(self, members: Mapping[str, bytes], ids: Any) -> dict[str, bytes]:
        """Raise, because overlapping shapes cannot be recovered from a painted mask."""
        del members, ids
        raise ValueError(
            f"source must be an image or npy member to be written back to, got {self.source!r} – warp shapes as InstanceMasks or "
            "Points."
        )

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether there is no list of shapes, or none of its items has such an entry."""
        location = member_path(self.source)
        if location.is_yolo:
            return not location.is_there(members)
        member = find_member(location.extensions, members)
        return not JsonDocument(member, members[member]).has(location.path)

    def _in_json(
        self, document: JsonDocument, path: str, max_pixels: int | None
    ) -> list[tuple[Any, list[Part]]]:
        label = str(self.label)
        return [
            (slot.beside(label), parts_of(slot, name_of(self.source), max_pixels))
            for slot in document.slots(path)
        ]

    def _in_text(self, location: MemberPath, members: Mapping[str, bytes]) -> list[tuple[Any, list[Part]]]:
        if not location.is_there(members):
            return []
        member = find_member(location.extensions, members)
        return [(label, [polygon]) for label, polygon in yolo_polygons(member, members[member])]

    def _id(self, number: int, label: Any) -> int:
        if self.label is None:
            return number + 1
        found = dict(self.classes).get(label) if self.classes is not None and _is_label(label) else label
        if type(found) is not int or not -(2**63) <= found < 2**63:
            known = "no whole number" if self.classes is None else "not among classes"
            raise MemberError(f"{name_of(self.source)} has a {self.label} that is {known}: {shown(label)}")
        if found == self.background and self.classes is None:
            raise MemberError(
                f"{name_of(self.source)} has shapes of the class that background is: {found} – give classes={{0: 1, 1: 2, ...}}, or "
                "another background"
            )
        return found


def _is_label(value: Any) -> bool:
    return isinstance(value, str | int)


def _image_of_array(name: str, value: Any, max_pixels: int | None) -> LabelImage:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        # Rows of different lengths; a tensor on a GPU, or with a graph.
        raise MemberError(f"{name} is no mask (height, width): {shown(value)}") from error
    while array.ndim > 2 and array.shape[-1] != 3 and 1 in array.shape:
        array = array.squeeze(array.shape.index(1))
    colours = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
    if array.dtype.kind not in "biuf" or not (array.ndim == 2 or colours) or 0 in array.shape:
        raise MemberError(f"{name} is no mask (height, width): {array.dtype} of shape {array.shape}")
    if max_pixels is not None and array.shape[0] * array.shape[1] > max_pixels:
        raise MemberError(f"{name} has more pixels than max_pixels={max_pixels}: {array.shape}", "too_large")
    return LabelImage(array if array.dtype.kind == "f" else _of_torch(name, array))


def _of_torch(name: str, array: Any) -> Any:
    """Return integers in a type that torch can index, in memory of their own."""
    kind = smallest_kind(array)
    if kind is None:
        raise MemberError(f"{name} has class ids of more than 63 bits: one is {array.max()}")
    return np.array(array, kind, order="C")
