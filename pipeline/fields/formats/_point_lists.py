"""Points in JSON: pairs, triples with a visibility, flat lists of either, or one such list for each person."""

import math
from collections.abc import Iterator
from typing import Any

from foveal._choices import PointFormat
from foveal.pipeline.fields._members import MemberError, shown

# Persons, each a list of points, each a list of numbers; polygons of several rings.
_MOST_LEVELS = 6
_ABSENT = (float("nan"), float("nan"))


def read_points(value: Any, point_format: PointFormat | None, name: str) -> list[tuple[float, float]]:
    """Return all points of a value in their order; absent ones are NaN.

    A null among lists of numbers is an absent point; null in place of all of them, or an empty list, means no points.

    Args:
        value: The value in the JSON.
        point_format: The numbers of a point; None to tell it by their count.
        name: Its name in messages.

    Raises:
        MemberError: It is something else, or its numbers could be pairs as well as triples.
    """
    points: list[tuple[float, float]] = []
    for numbers in _number_lists(value, point_format, name):
        if numbers is None:
            points.append(_ABSENT)
            continue
        width = _width(numbers, point_format, name)
        points += [_point(numbers[k : k + width], name) for k in range(0, len(numbers), width)]
    return points


def put_points(
    value: Any, points: Iterator[list[float]], point_format: PointFormat | None, name: str
) -> None:
    """Replace the points in a value by others, of which there are as many. Where the new point is absent (NaN), the old numbers stay."""
    for numbers in _number_lists(value, point_format, name):
        if numbers is None:
            next(points)
            continue
        width = _width(numbers, point_format, name)
        for k in range(0, len(numbers), width):
            x, y = next(points)
            if not (math.isnan(x) or math.isnan(y)):
                numbers[k : k + 2] = x, y


def _number_lists(
    value: Any, point_format: PointFormat | None, name: str, level: int = 0
) -> Iterator[list[Any] | None]:
    """Yield the lists of numbers in a value, None for a null among them."""
    if value is None or value == []:
        return
    if not isinstance(value, list) or level > _MOST_LEVELS:
        raise _fault(value, name)
    if all(_is_number(each) for each in value):
        if level and len(value) == 4 and point_format is None:  # rows of four are boxes
            raise _fault(value, name)
        yield value
        return
    if not all(each is None or isinstance(each, list) for each in value):
        raise _fault(value, name)
    innermost = any(each and _is_number(each[0]) for each in value)
    for each in value:
        if each is None and innermost:
            yield None
        else:
            yield from _number_lists(each, point_format, name, level + 1)


def _width(numbers: list[Any], point_format: PointFormat | None, name: str) -> int:
    count = len(numbers)
    widths = {"xy": (2,), "xyv": (3,), None: (count,) if count in (2, 3) else (2, 3)}[point_format]
    fitting = [width for width in widths if count % width == 0]
    if len(fitting) == 2:
        raise MemberError(f"{name} may be pairs or triples, and format must say which: {shown(numbers)}")
    if not fitting:
        raise _fault(numbers, name)
    return fitting[0]


def _point(numbers: list[Any], name: str) -> tuple[float, float]:
    x, y, *visibility = numbers
    if x is None or y is None or visibility == [0]:
        return _ABSENT
    try:
        return float(x), float(y)
    except OverflowError as error:  # numbers of a thousand digits
        raise _fault(numbers, name) from error


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _fault(value: Any, name: str) -> MemberError:
    return MemberError(f"{name} is not (n, 2) numbers: {shown(value)}")
