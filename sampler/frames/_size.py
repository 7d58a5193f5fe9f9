"""Whole numbers and sizes as users give them."""

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex


def whole(number: SupportsIndex, name: str, least: int = 1) -> int:
    """Return a whole number as an ``int``, which numbers of NumPy also become.

    Args:
        number: What was given.
        name: Its name in messages.
        least: The least that it may be.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is too small.
    """
    if not _is_whole(number):
        raise TypeError(f"{name} must be a whole number, got {number!r}.")
    if (found := operator.index(number)) < least:
        raise ValueError(f"{name} must be at least {least}, got {number!r}.")
    return found


def height_and_width(size: int | tuple[int, int], name: str) -> tuple[int, int]:
    """Return a size as (height, width), given one number for a square or both.

    Args:
        size: In pixels.
        name: Its name in messages.

    Raises:
        TypeError: It is neither a whole number nor two of them.
        ValueError: A side is below one pixel.
    """
    return _pair(size, name, "a whole number of pixels, or (height, width)", least="1 pixel")


def rows_and_cols(size: int | tuple[int, int], name: str = "map_size") -> tuple[int, int]:
    """Return the size of a map, or of another lattice, as (rows, cols), given one number for a square or both.

    Raises:
        TypeError: It is neither a whole number nor two of them.
        ValueError: There are no rows or no columns.
    """
    return _pair(size, name, "a whole number, or (rows, cols)", least="(1, 1)")


def _pair(size: Any, name: str, form: str, *, least: str) -> tuple[int, int]:
    """Return both numbers as plain ones; ``form`` and ``least`` are the words for what they must be."""
    pair = size if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    if len(pair) != 2 or not all(_is_whole(side) for side in pair):
        raise TypeError(f"{name} must be {form}, got {size!r}.")
    if min(pair) < 1:
        raise ValueError(f"{name} must be at least {least}, got {size!r}.")
    return operator.index(pair[0]), operator.index(pair[1])


def _is_whole(number: object) -> bool:
    return hasattr(type(number), "__index__") and not isinstance(number, bool)
