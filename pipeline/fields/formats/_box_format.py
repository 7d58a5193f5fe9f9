"""What the four numbers of a box are."""

from typing import Any

import numpy as np

from foveal._choices import BoxFormat


def corners_of(rows: Any, box_format: BoxFormat) -> Any:
    """Return boxes (n, 4) of a format as (x0, y0, x1, y1)."""
    first, second = rows[:, :2], rows[:, 2:]
    match box_format:
        case "xyxy":
            corners = first, second
        case "xywh":
            corners = first, first + second
        case "cxcywh":
            corners = first - second / 2, first + second / 2
    return np.concatenate(corners, axis=1)


def rows_of(corners: Any, box_format: BoxFormat) -> Any:
    """Return boxes (n, 4) of (x0, y0, x1, y1) in a format: the inverse of :func:`corners_of`."""
    low, high = corners[:, :2], corners[:, 2:]
    match box_format:
        case "xyxy":
            rows = low, high
        case "xywh":
            rows = low, high - low
        case "cxcywh":
            rows = (low + high) / 2, high - low
    return np.concatenate(rows, axis=1)
