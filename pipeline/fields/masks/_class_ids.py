"""Class ids: the values of a mask's pixels, and their meaning."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from foveal.pipeline.decoding import DecodeError, LabelImage, label_image
from foveal.pipeline.fields._members import MemberError

Colour = int | tuple[int, int, int]
"""The value of a mask's pixel: one number, or red, green and blue."""

PanopticPalette = Literal["panoptic"]
"""The palette of COCO's panoptic PNGs: three bytes of a pixel are one number, as :class:`Panoptic` reads them."""

Palette = Mapping[Colour, int] | Sequence[Colour] | PanopticPalette
"""The meaning of a mask's pixels, as :class:`Mask` takes it."""

_MOST = 2.0**53  # beyond this, floating-point numbers cannot represent every whole number


class Coding(Protocol):
    """Converts pixels to class ids and back."""

    def ids(self, name: str, image: LabelImage) -> Any:
        """Return the class ids (height, width) of a mask's pixels.

        Args:
            name: Its name in messages.
            image: The mask.

        Raises:
            MemberError: A pixel has no meaning.
        """
        ...

    def values(self, ids: Any, *, like: LabelImage) -> Any:
        """Return the pixels for class ids, in one or three channels like another mask."""
        ...


class Plain:
    """Pixels that are class ids."""

    def ids(self, name: str, image: LabelImage) -> Any:
        """Return them, if the file's compression keeps values."""
        if not image.is_grey:
            raise MemberError(
                f"{name} has colours, and palette must say what they stand for: one is {_first_colour(image.values)}"
            )
        values = _whole(name, image.grey)
        if image.lossy is not None:
            found = np.unique(values)
            raise MemberError(
                f"{name} is a {image.lossy}, which does not keep class ids: it has {len(found)} values from {found[0]} to "
                f"{found[-1]} – store masks as PNG, or name those that were drawn, such as palette=(0, 255), and each pixel is "
                "taken for the nearest"
            )
        return values

    def values(self, ids: Any, *, like: LabelImage) -> Any:
        """Return them unchanged."""
        del like
        return ids


class Panoptic:
    """Colours of COCO's panoptic masks: red + 256 green + 65536 blue. Of one channel, pixels are class ids."""

    def ids(self, name: str, image: LabelImage) -> Any:
        """Return the segment ids."""
        if image.values.ndim == 2 or image.lossy is not None:
            return Plain().ids(name, image)
        return image.values.astype(np.int32) @ np.array([1, 256, 65536], np.int32)

    def values(self, ids: Any, *, like: LabelImage) -> Any:
        """Return the colours of segment ids."""
        if like.values.ndim == 2:
            return ids
        return np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


class Listed:
    """Values or colours that a user lists, each with its class id.

    If the file's compression changes pixels, each counts as the nearest one: by the difference of values, or the squared
    distance of colours.
    """

    def __init__(self, pairs: Sequence[tuple[Colour, int]]) -> None:
        self._pairs = dict(pairs)
        self._in_colour = isinstance(pairs[0][0], tuple)
        self._colours = np.array([colour for colour, _ in pairs], np.int64)
        self._of = np.array([number for _, number in pairs], np.int64)

    def ids(self, name: str, image: LabelImage) -> Any:
        """Return the ids of the pixels, looked up once for each run of equal pixels."""
        codes = self._codes(name, image).ravel()
        starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
        found, which = np.unique(codes[starts], return_inverse=True)
        ids = self._nearest(found) if image.lossy is not None else self._exact(name, found)
        lengths = np.diff(starts, append=len(codes))
        return np.repeat(ids.astype(smallest_kind(ids))[which.ravel()], lengths).reshape(
            image.values.shape[:2]
        )

    def values(self, ids: Any, *, like: LabelImage) -> Any:
        """Return the first colour of each id, as an index if the other mask has a palette."""
        first = {number: colour for colour, number in reversed(self._pairs.items())}
        known, which = np.unique(ids, return_inverse=True)
        values = np.array([first[number] for number in known.tolist()], np.int64)
        if self._in_colour and like.palette is not None:
            index = {code: k for k, code in reversed(list(enumerate(_code(like.palette).tolist())))}
            values = np.array([index[code] for code in _code(values).tolist()], np.int64)
        elif self._in_colour:
            values = values.astype(np.uint8)
        return values[which.ravel()].reshape(*ids.shape, *values.shape[1:])

    @cached_property
    def _lookup(self) -> dict[int, int]:
        codes = _code(self._colours) if self._in_colour else self._colours
        return dict(zip(codes.tolist(), self._of.tolist(), strict=True))

    def _codes(self, name: str, image: LabelImage) -> Any:
        """Return one number for each pixel: its value, or the 24 bits of its colour."""
        if not self._in_colour:
            if not image.is_grey:
                raise MemberError(
                    f"{name} has colours, and palette has single values: one is {_first_colour(image.values)}"
                )
            return _whole(name, image.grey)
        values = image.values
        if image.palette is not None:
            if values.max() >= len(image.palette):
                raise MemberError(
                    f"{name} has indices without a colour in its palette: one is {values.max()}"
                )
            return _code(image.palette)[values]
        return _code(values) if values.ndim == 3 else _whole(name, values).astype(np.int64) * 0x010101

    def _exact(self, name: str, codes: Any) -> Any:
        for code in codes.tolist():
            if code not in self._lookup:
                shown = tuple(_channels(code)) if self._in_colour else code
                raise MemberError(f"{name} has pixels that are not in the palette: one is {shown}")
        return np.array([self._lookup[code] for code in codes.tolist()], np.int64)

    def _nearest(self, codes: Any) -> Any:
        seen = np.stack(_channels(codes), -1) if self._in_colour else codes[:, None]
        listed = self._colours if self._in_colour else self._colours[:, None]
        best, ids = np.full(len(codes), np.iinfo(np.int64).max), np.zeros(len(codes), np.int64)
        for colour, number in zip(listed, self._of, strict=True):
            distance = np.square(seen - colour).sum(axis=1)
            ids[distance < best] = number
            best = np.minimum(best, distance)
        return ids


def coding_of(palette: tuple[tuple[Colour, int], ...] | PanopticPalette | None) -> Coding:
    """Return the coding of a mask's pixels."""
    if palette is None:
        return Plain()
    return Panoptic() if palette == "panoptic" else Listed(palette)


def pairs_of(palette: Palette) -> tuple[tuple[Colour, int], ...] | PanopticPalette:
    """Return the pairs (colour, class id) of a palette; in a sequence the indices are the ids.

    Raises:
        ValueError: It is not a palette.
    """
    if isinstance(palette, str) and palette == "panoptic":
        return "panoptic"
    pairs = _pairs(palette)
    colours = [colour for colour, _ in pairs]
    alike = len({isinstance(colour, tuple) for colour in colours}) == 1
    if not alike or len(set(colours)) < len(colours) or not all(_is_pair(*pair) for pair in pairs):
        raise ValueError(
            "palette must be 'panoptic', or colours (red, green, blue) or grey values, each once, in the order of their class ids "
            f"or as a mapping to them, got {palette!r}."
        )
    return pairs


def image_of(member: str, content: bytes, max_pixels: int | None) -> LabelImage:
    """Return a member as an image of labels.

    Raises:
        MemberError: It is not an image, or has more than ``max_pixels`` pixels.
    """
    try:
        return label_image(content, max_pixels=max_pixels)
    except DecodeError as error:
        kind = "bad_label" if error.kind == "corrupt" else error.kind
        raise MemberError(f"{member} {error.reason}", kind) from error


def _pairs(palette: Any) -> tuple[tuple[Any, Any], ...]:
    if isinstance(palette, Mapping):
        found = tuple(palette.items())
    elif isinstance(palette, Sequence) and not isinstance(palette, str):
        listed = all(isinstance(each, Sequence) and len(each) == 2 for each in palette)
        found = tuple(palette) if listed else tuple((colour, k) for k, colour in enumerate(palette))
    else:
        found = ()
    return tuple((tuple(c) if isinstance(c, Sequence) else c, number) for c, number in found)


def _is_pair(colour: Any, number: Any) -> bool:
    numbers = colour if isinstance(colour, tuple) else (colour,)
    if len(numbers) not in (1, 3) or not all(type(each) is int for each in (*numbers, number)):
        return False
    return len(numbers) == 1 or all(0 <= each <= 255 for each in numbers)


def _whole(name: str, values: Any) -> Any:
    """Return floating-point values as integers, if they are whole."""
    if values.dtype.kind != "f":
        return values
    wrong = ~((values == np.round(values)) & (np.abs(values) < _MOST))  # also NaN
    if wrong.any():
        raise MemberError(f"{name} holds no class ids, which are whole numbers: one is {values[wrong][0]}")
    return values.astype(np.int64)


def smallest_kind(ids: Any) -> Any:
    """Return the first of uint8, int32 and int64 that can hold the class ids; None if none can. There must be at least one id."""
    low, high = int(np.min(ids)), int(np.max(ids))
    kinds = (np.uint8, np.int32, np.int64)
    return next((kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max), None)


def _code(colours: Any) -> Any:
    red, green, blue = (colours[..., k].astype(np.int64) for k in range(3))
    return red << 16 | green << 8 | blue


def _channels(codes: Any) -> list[Any]:
    return [codes >> shift & 255 for shift in (16, 8, 0)]


def _first_colour(values: Any) -> tuple[int, ...]:
    flat = values.reshape(-1, 3)
    coloured = (flat != flat[:, :1]).any(axis=1)
    return tuple(flat[coloured][0].tolist())
