"""Columns of rows that are not coordinates: classes, scores."""

import math
from collections.abc import Sequence
from typing import Any

from foveal._choices import BoxFormat
from foveal.pipeline.fields._members import MemberError, shown

LabelName = str | int
"""A label of each box: an entry by its name, or a column by its number, from 0."""

# Rows of more numbers are something else: the four corners of a rotated box, or a polygon.
_MOST = 7


def columns_beside(
    name: str, rows: Any, labels: Sequence[LabelName], box_format: BoxFormat
) -> dict[LabelName, list[Any]]:
    """Return the columns of rows (n, c) that labels name. Raise if there are others after the fourth, which may belong to the box.

    Raises:
        MemberError: There are such columns and labels name none (for example, the fifth column of a rotated box is its
            angle), or a named one does not exist.
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
        MemberError: One does not exist.
    """
    wanted = [label for label in labels if isinstance(label, int)]
    if len(rows) and max(wanted, default=0) >= rows.shape[1]:
        raise MemberError(f"{name} has no column {max(wanted)}: row 0 is {shown(rows[0].tolist())}")
    return {label: [_plain(row[label]) for row in rows.tolist()] for label in wanted}


def _plain(value: float) -> float | int | None:
    if math.isnan(value):  # null in JSON
        return None
    return int(value) if value.is_integer() else value
