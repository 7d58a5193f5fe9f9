"""Points as JSON has them: pairs, triples with a visibility, flat lists of either, in as many lists as there are persons."""

import math
from collections.abc import Iterator
from typing import Any

from foveal._choices import PointFormat
from foveal.pipeline.fields._members import MemberError, shown

# Persons, each a list of points, each a list of numbers; polygons of several rings.
_MOST_LEVELS = 6
_ABSENT = (float("nan"), float("nan"))


def read_points(value: Any, point_format: PointFormat | None, name: str) -> list[tuple[float, float]]:
    """Return all points of a value in their order, those that are absent as NaN.

    Null among lists of numbers is one that is absent; null instead of all of them is none, as is an empty list.

    Args:
        value: What JSON holds.
        point_format: What a point is; None if the number of numbers tells.
        name: What messages call it.

    Raises:
        MemberError: It is something else, or its numbers may be pairs as well as triples.
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
    """Put as many points in the place of those that a value has; the place of one that is absent (NaN) stays as it is."""
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
        if level and len(value) == 4 and point_format is None:  # rows of four are boxes, rather
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
