"""Coordinates as they are written: their unit and number of decimals."""

from typing import Any

import numpy as np

from foveal._choices import Frame

_DECIMALS: dict[Frame, int] = {"pixel": 4, "fraction": 7}


def rounded(rows: Any, frame: Frame) -> list[list[float]]:
    """Return rows of coordinates, rounded to the decimals that matter."""
    values: list[list[float]] = rows.astype(np.float64).round(_DECIMALS[frame]).tolist()
    return values


def as_word(value: float) -> str:
    """Return a rounded coordinate as text."""
    return np.format_float_positional(value, trim="-")
