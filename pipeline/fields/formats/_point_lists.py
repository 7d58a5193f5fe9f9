"""Points in JSON: pairs, triples with a visibility, flat lists of either, or one such list for each person."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from foveal._choices import PointFormat
from foveal.pipeline.fields._members import MemberError, shown

# Persons, each a list of points, each a list of numbers; polygons of several rings.
_MOST_LEVELS = 6
_ABSENT = (float("nan"), float("nan"))


def read_points(
    values: Sequence[Any], point_format: PointFormat | None, name: str
) -> list[tuple[float, float]]:
    """Return all points of some values in their order; absent ones are NaN.

    A null among lists of numbers is an absent point, and so is each null in a list of nothing but nulls, unless lists of numbers
    stand beside it; null in place of all points, or an empty list, means no points.

    Args:
        values: The values at one path of the JSON.
        point_format: The numbers of a point; None to tell it by their count.
        name: Their name in messages.

    Raises:
        MemberError: They are something else, or their numbers could be pairs as well as triples.
    """
    points: list[tuple[float, float]] = []
    for numbers in _number_lists(values, point_format, name):
        if numbers is None:
            points.append(_ABSENT)
            continue
        width = _width(numbers, point_format, name)
        points += [_point(numbers[k : k + width], name) for k in range(0, len(numbers), width)]
    return points


def put_points(
    values: Sequence[Any], points: Iterator[list[float]], point_format: PointFormat | None, name: str
) -> None:
    """Replace the points in some values by others, of which there are as many. Where the new point is absent (NaN), the old numbers stay."""
    for numbers in _number_lists(values, point_format, name):
        if numbers is None:
            next(points)
            continue
        width = _width(numbers, point_format, name)
        for k in range(0, len(numbers), width):
            x, y = next(points)
            if not (math.isnan(x) or math.isnan(y)):
                numbers[k : k + 2] = x, y


def _number_lists(
    values: Sequence[Any], point_format: PointFormat | None, name: str, level: int = 0
) -> Iterator[list[Any] | None]:
    """Yield the lists of numbers in values that stand beside each other, and None for each null that is a point."""
    rows = _are_rows(values, level)
    for value in values:
        if value is None or value == []:
            if value is None and rows and level:
                yield None
        elif not isinstance(value, list) or level > _MOST_LEVELS:
            raise _fault(value, name)
        elif not rows and all(each is None for each in value):
            yield from value
        elif all(_is_number(each) for each in value):
            if level and len(value) == 4 and point_format is None:  # rows of four are boxes
                raise _fault(value, name)
            yield value
        elif all(each is None or isinstance(each, list) for each in value):
            yield from _number_lists(value, point_format, name, level + 1)
        else:
            raise _fault(value, name)


def _are_rows(values: Sequence[Any], level: int) -> bool:
    """Return whether values that stand beside each other are lists of numbers rather than of points.

    If there are only nulls in them, those that lie in a list (not at the path itself) and have a point's length are taken for
    numbers.
    """
    lists = [value for value in values if isinstance(value, list) and value]
    held = [each for value in lists for each in value if each is not None]
    if held or not level:
        return any(_is_number(each) for each in held)
    return bool(lists) and all(len(value) in (2, 3) for value in lists)


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
