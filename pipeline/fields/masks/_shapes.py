"""Shapes in label files, and the mask that they are painted into: polygons, COCO's run lengths, what LabelMe draws."""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from foveal._choices import Frame
from foveal.pipeline.fields._frame import wrong_frame, wrong_size
from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields.formats import LINES, SHAPE, Slot, numbers
from foveal.pipeline.fields.masks._class_ids import image_of, smallest_kind
from foveal.pipeline.fields.masks._run_lengths import Runs, runs_in_polygon, runs_of

_AROUND = np.linspace(0, 2 * np.pi, 256, endpoint=False)
# The path around a polygon is no longer than this or one pixel for each of the image: the memory of what fills it grows with it.
_LONGEST = 10**6


class Patch(NamedTuple):
    """A binary mask of a part of the image."""

    corner: tuple[int, int]
    """Column and row of its first pixel."""

    pixels: Any
    """(height, width) bool."""

    def paint(self, canvas: Any, value: int) -> None:
        """Set its pixels in a canvas (width, height)."""
        x, y = self.corner
        part = self.pixels.T[max(0, -x) :, max(0, -y) :]
        there = canvas[max(0, x) :, max(0, y) :][: part.shape[0], : part.shape[1]]
        there[part[: there.shape[0], : there.shape[1]]] = value


Part = Runs | Patch | Any
"""A part of a shape: a mask, run lengths, or the corners (n, 2) of a polygon."""


class Shapes(NamedTuple):
    """The shapes of one image, in the order in which they are painted."""

    parts: list[tuple[int, Part]]
    """Their parts, each with its class id."""

    frame: Frame
    """The unit of the corners of polygons."""

    background: int
    """The class id of pixels that no shape covers."""

    stated: tuple[int, int] | None
    """The (height, width) that the label file says its image has, if it does."""

    objects: int
    """Number of shapes, including those without parts."""

    def only(self, number: int) -> "Shapes":
        """Return the shapes of one class id."""
        return self._replace(parts=[part for part in self.parts if part[0] == number])

    @property
    def corners(self) -> Any:
        """All corners of polygons, (n, 2)."""
        return np.concatenate([np.empty((0, 2)), *self._polygons])

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """The (height, width) of masks that are given by run lengths."""
        return {part.size for _, part in self.parts if isinstance(part, Runs)}

    @property
    def needs_pixels(self) -> bool:
        """Whether some are given in pixels of the image, rather than as masks of any resolution."""
        return any(not isinstance(part, Runs) for _, part in self.parts)

    def misfit(self, name: str, size: tuple[int, int]) -> str | None:
        """Return why they cannot belong to an image of this (height, width) in pixels; None if they can."""
        return (
            wrong_frame(name, torch.from_numpy(self.corners), self.frame, size)
            or wrong_size(name, self.stated, self.frame, size)
            or self._wrong_polygon(name, size)
            or self._wrong_size(name, size)
        )

    def _wrong_polygon(self, name: str, size: tuple[int, int]) -> str | None:
        height, width = size
        scale = np.array([width, height]) if self.frame == "fraction" else 1
        for polygon in self._polygons:
            corners = polygon * scale
            if (np.abs(corners / [width, height] - 0.5) > 1.5).any():
                return f"{name} is far outside of the image: one corner is {corners.max(axis=0).tolist()} of {width} × {height} (width × height)"
            steps = np.abs(np.diff(corners, axis=0, append=corners[:1])).max(axis=1).sum()
            if steps > max(_LONGEST, height * width):
                return f"{name} has a polygon whose outline is longer than the image has pixels: {steps:.0f}"
        return None

    def _wrong_size(self, name: str, size: tuple[int, int]) -> str | None:
        sizes = self.sizes | ({size} if self.needs_pixels else set())
        if len(sizes) > 1:
            return f"{name} has masks of different sizes: {sorted(sizes)} (height, width)"
        return next(filter(None, (other_aspect(name, each, size) for each in sizes)), None)

    def painted(self, size: tuple[int, int]) -> Any:
        """Return the mask of class ids, later shapes over earlier ones.

        Args:
            size: (height, width) of the image in pixels. Masks that are given by run lengths may have another.

        Raises:
            ModuleNotFoundError: pycocotools is not installed, and there are polygons.
        """
        height, width = next(iter(self.sizes), size)
        kind = smallest_kind([self.background, *(number for number, _ in self.parts)])
        canvas = np.full((width, height), self.background, kind)
        scale = np.array([width, height]) if self.frame == "fraction" else 1
        for number, part in self.parts:
            shape = part if isinstance(part, Runs | Patch) else runs_in_polygon(part * scale, (height, width))
            shape.paint(canvas, number)
        return np.ascontiguousarray(canvas.T)

    @property
    def _polygons(self) -> list[Any]:
        return [part for _, part in self.parts if not isinstance(part, Runs | Patch)]


def other_aspect(name: str, shape: tuple[int, int], size: tuple[int, int]) -> str | None:
    """Refuse a mask of another aspect than its image's; rounding the smaller one to whole pixels may have changed it by less than one."""
    (rows, cols), (height, width) = shape, size
    if abs(rows * width - cols * height) < max(height, width, rows, cols):
        return None
    shapes = f"{rows} × {cols} on {height} × {width} pixels (height × width)"
    return f"{name} has another shape than the image: {shapes}"


def parts_of(slot: Slot, name: str, max_pixels: int | None) -> list[Part]:
    """Return the parts of a shape in a JSON document; none if it is null or has no area.

    Args:
        slot: Its location: polygons as lists of numbers or of pairs, or run lengths, perhaps with LabelMe's
            ``shape_type`` beside them.
        name: Its name in messages.
        max_pixels: Largest number of pixels of a mask.

    Raises:
        MemberError: It is something else.
    """
    value, kind = slot.value, slot.beside(SHAPE)
    if value is None or kind in LINES:
        return []
    if isinstance(value, dict):
        runs = runs_of(value, name)
        if max_pixels is not None and runs.size[0] * runs.size[1] > max_pixels:
            raise MemberError(
                f"{name} has more pixels than max_pixels={max_pixels}: {runs.size}", "too_large"
            )
        return [runs]
    if kind == "mask":
        return [_patch(slot, name, max_pixels)]
    polygons = [value] if _is_polygon(value) else value
    polygons = [each for each in polygons if each != []] if isinstance(polygons, list) else None
    if polygons is None or not all(map(_is_polygon, polygons)):
        raise MemberError(f"{name} is neither polygons nor run lengths: {shown(value)}")
    corners = [polygon_of(each, name) for each in polygons]
    if kind in ("rectangle", "circle") and len(corners) == 1 and len(corners[0]) == 2:
        corners = [_drawn(kind, *corners[0])]
    return [each for each in corners if len(each) >= 3]


def polygon_of(value: Sequence[Any], name: str) -> Any:
    """Return the corners (n, 2) of a polygon, given as pairs or as a flat list.

    Raises:
        MemberError: It is something else.
    """
    corners = numbers(value)
    if corners is None or corners.size % 2 or not (np.abs(corners) < 1e9).all():
        raise MemberError(f"{name} has a polygon that is not pairs of numbers: {shown(value)}")
    return corners.reshape(-1, 2)


def _is_polygon(value: Any) -> bool:
    """Return whether a value is one polygon rather than several."""
    array: np.ndarray[Any, Any] | None = numbers(value) if isinstance(value, list) else None
    return array is not None and array.size > 0 and (array.ndim == 1 or array.shape[1:] == (2,))


def _drawn(kind: str, first: Any, second: Any) -> Any:
    """Return the outline of a shape that LabelMe gives by two points: corners of a rectangle, or a circle's centre and a point on it."""
    if kind == "circle":
        radius = np.hypot(*(second - first))
        return first + radius * np.stack([np.cos(_AROUND), np.sin(_AROUND)], axis=1)
    (x0, y0), (x1, y1) = first, second
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _patch(slot: Slot, name: str, max_pixels: int | None) -> Patch:
    """Return a mask that LabelMe stores as a PNG in the JSON document, placed at the first of two corners."""
    corners, text = numbers(slot.value), slot.beside("mask")
    if (
        corners is None
        or corners.shape != (2, 2)
        or not (np.abs(corners) < 1e9).all()
        or not isinstance(text, str)
    ):
        raise MemberError(
            f"{name} has a shape of the kind mask without two points and a picture: {shown(slot.value)}"
        )
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise MemberError(f"{name} has a mask that is not base64: {shown(text)}") from error
    left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
    return Patch((left, top), image_of(f"{name} mask", content, max_pixels).grey > 0)
