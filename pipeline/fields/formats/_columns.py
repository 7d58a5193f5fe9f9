"""Columns of rows that are no coordinates: classes, scores."""

import math
from collections.abc import Sequence
from typing import Any

from foveal._choices import BoxFormat
from foveal.pipeline.fields._members import MemberError, shown

LabelName = str | int
"""What stands beside each box: an entry by its name, or a column by its number, from 0."""

# Rows of more numbers are something else: the four corners of a turned box, or a polygon.
_MOST = 7


def columns_beside(
    name: str, rows: Any, labels: Sequence[LabelName], box_format: BoxFormat
) -> dict[LabelName, list[Any]]:
    """Return the columns of rows (n, c) that labels name, and refuse those after the fourth that may be more of the box.

    Raises:
        MemberError: There are such columns, and labels name none: of a turned box, for one, the fifth is the angle. Or one
            that is named is not there.
    """
    width = rows.shape[1]
    named = any(isinstance(label, int) for label in labels)
    if width > 4 and not named and (width > _MOST or box_format == "cxcywh"):
        raise MemberError(
            f"{name} has rows of {width} numbers, and labels must name one that is not of the box, such as labels=(4,): "
            f"row 0 is {shown(rows[0].tolist())}"
        )
    return named_columns(name, rows, labels)


def named_columns(name: str, rows: Any, labels: Sequence[LabelName]) -> dict[LabelName, list[Any]]:
    """Return the columns that labels name by their numbers.

    Raises:
        MemberError: One is not there.
    """
    wanted = [label for label in labels if isinstance(label, int)]
    if len(rows) and max(wanted, default=0) >= rows.shape[1]:
        raise MemberError(f"{name} has no column {max(wanted)}: row 0 is {shown(rows[0].tolist())}")
    return {label: [_plain(row[label]) for row in rows.tolist()] for label in wanted}


def _plain(value: float) -> float | int | None:
    if math.isnan(value):  # null in JSON
        return None
    return int(value) if value.is_integer() else value
