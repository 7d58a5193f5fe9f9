"""Numbers as JSON and arrays have them, null as NaN, and rows of them that are boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.pipeline.fields._members import MemberError


def numbers(value: Any) -> Any:
    """Return float64 numbers; None if the value is not a regular array of numbers and nulls."""
    try:
        array = np.asarray(value)
        if array.dtype == object and all(type(each) in (int, float, type(None)) for each in array.flat):
            array = array.astype(np.float64)
    except (ValueError, OverflowError, TypeError, RuntimeError):
        # Rows of different lengths, numbers of a thousand digits, a tensor on a GPU or with a graph.
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def box_row(value: Any, *, points: bool) -> Any:
    """Return the numbers of one box, at least four; None if the value is not a box.

    Args:
        value: A list of numbers; or points (x, y), such as two corners or a polygon, around which the box lies.
        points: Whether it may be points.
    """
    array = numbers(value)
    if array is None:
        return None
    if array.ndim == 2 and array.shape[1] == 2 and len(array) >= 2 and points:
        return _around(array)
    return array if array.ndim == 1 and len(array) >= 4 else None


def box_rows(values: Sequence[Any], *, points: bool) -> Any:
    """Return the rows (n, c) of n boxes, NaN for a null or an empty list; None if one is not a box, or their lengths differ."""
    array = numbers(values)
    if array is not None and array.ndim == 2 and array.shape[1] >= 4:
        return array
    values = [None if value == [] else value for value in values]
    rows = [None if value is None else box_row(value, points=points) for value in values]
    found = [row for row in rows if row is not None]
    if len(found) < sum(value is not None for value in values) or len(set(map(len, found))) > 1:
        return None
    absent = np.full(len(found[0]) if found else 4, np.nan)
    return np.stack([absent if row is None else row for row in rows]) if rows else np.empty((0, 4))


def check_rows(name: str, fault: str, rows: Any, wrong: Any) -> None:
    """Raise if a row is wrong, and show the first wrong one.

    Raises:
        MemberError: A row is wrong.
    """
    if wrong.any():
        first = int(wrong.argmax())
        raise MemberError(f"{name} {fault}: row {first} is {rows[first].tolist()}")


def with_box(old: Any, row: Sequence[float]) -> Any:
    """Return a box in the form of another one: its numbers and those that follow the fourth, or two corners."""
    if isinstance(old[0], list):
        return [list(row[:2]), list(row[2:])]
    return [*row, *old[4:]]


def _around(points: Any) -> Any:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])
