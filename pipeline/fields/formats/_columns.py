"""Columns of rows that are not coordinates: classes, scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal._choices import BoxFormat
from foveal.pipeline.fields._members import MemberError, shown

LabelName = str | int
"""A label of each box: an entry by its name, or a column by its number, from 0."""

# Rows of more numbers are something else: the four corners of a rotated box, or a polygon.
_MOST = 7


def columns_beside(
    name: str, rows: Any, labels: Sequence[LabelName], box_format: BoxFormat, given: Any
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
    return named_columns(name, rows, labels, given)


def named_columns(
    name: str, rows: Any, labels: Sequence[LabelName], given: Any
) -> dict[LabelName, list[Any]]:
    """Return the columns that labels name by their numbers: integers and floats as the file has them.

    Args:
        name: The name of the rows in messages.
        rows: (n, c) float64.
        labels: Those that are numbers of columns count.
        given: The rows as they were read, an array or a list, which tells integers and floats apart.

    Raises:
        MemberError: A column does not exist.
    """
    wanted = [label for label in labels if isinstance(label, int)]
    if len(rows) and max(wanted, default=0) >= rows.shape[1]:
        raise MemberError(f"{name} has no column {max(wanted)}: row 0 is {shown(rows[0].tolist())}")
    if not len(rows):
        return {label: [] for label in wanted}
    old = np.asarray(given).tolist() if hasattr(given, "dtype") else given
    return {label: [_value(*pair, label) for pair in zip(old, rows, strict=True)] for label in wanted}


def _value(old: Any, row: Any, label: int) -> Any:
    """Return one number, None for null and NaN."""
    if np.isnan(row[label]):
        return None
    if len(old) != len(row) or np.ndim(old[0]) > 0:  # points around which the box lies
        return float(row[label])
    return old[label].item() if hasattr(old[label], "item") else old[label]
