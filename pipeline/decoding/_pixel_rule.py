"""The user's settings for pixels: window, bands, colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

from foveal._choices import Color

Window = tuple[float, float] | Literal["auto"]
"""The stored values that become black and white, or percentiles of each image."""

Bits = Literal[8, 16]
"""Bits of the levels to which an image is decoded."""

Bands = tuple[int, int, int]
"""Which bands are red, green and blue, counted from 0."""


@dataclass(frozen=True, slots=True)
class PixelRule:
    """How stored samples become grey levels.

    Attributes:
        window: The stored values that become black and white; ``"auto"`` for percentiles of each image; None for the
            values of the header.
        bands: Which three bands are red, green and blue, counted from 0; None for the first three.
        color: ``"srgb"`` converts by the embedded colour profile; None does not.
        bits: Bits of the levels: 16 keeps the depth of deeper images, unless their colours are converted.

    Raises:
        ValueError: A setting is invalid.
    """

    window: Window | None = None
    bands: Bands | None = None
    color: Color | None = None
    bits: Bits = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", _as_window(self.window))
        object.__setattr__(self, "bands", _as_bands(self.bands))
        if self.color not in (None, "srgb"):
            raise ValueError(f"color must be 'srgb' or None, got {self.color!r}.")
        if self.bits not in get_args(Bits):
            raise ValueError(f"bits must be 8 or 16, got {self.bits!r}.")

    @property
    def keeps_pixels(self) -> bool:
        """Whether RGB of 8 bits stays unchanged."""
        return self.window is None and self.first_bands and self.color is None

    @property
    def keeps_depth(self) -> bool:
        """Whether samples of 16 bits must not be reduced to 8 by the decoder."""
        return self.window is not None or self.color is not None or self.bits > 8

    @property
    def first_bands(self) -> bool:
        """Whether the first three bands are wanted."""
        return self.bands in (None, (0, 1, 2))


def parse_window(text: str) -> Window:
    """Return the window that a command line gives, such as ``-1000:400`` or ``auto``.

    Raises:
        ValueError: It is neither.
    """
    if text == "auto":
        return "auto"
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else "none")
    except ValueError:
        raise ValueError(f"window must be LOW:HIGH, such as -1000:400, or auto, got {text!r}.") from None


def parse_bands(text: str) -> Bands:
    """Return the bands that a command line gives, such as ``3,2,1``.

    Raises:
        ValueError: They are not three numbers.
    """
    try:
        first, second, third = map(int, text.split(","))
    except ValueError:
        raise ValueError(f"bands must be three numbers from 0, such as 3,2,1, got {text!r}.") from None
    return first, second, third


def _as_window(window: Any) -> Window | None:
    if window is None or (isinstance(window, str) and window == "auto"):
        return window  # type: ignore[return-value]
    numbers = (
        isinstance(window, Sequence) and len(window) == 2 and all(isinstance(end, Real) for end in window)
    )
    if not numbers or not all(map(math.isfinite, window)) or not window[0] < window[1]:
        raise ValueError(f"window must be (low, high) with low below high, or 'auto', got {window!r}.")
    return float(window[0]), float(window[1])


def _as_bands(bands: Any) -> Bands | None:
    if bands is None:
        return None
    numbers = isinstance(bands, Sequence) and len(bands) == 3 and all(type(band) is int for band in bands)
    if not numbers or min(bands) < 0:
        raise ValueError(f"bands must be three numbers from 0, such as (3, 2, 1), got {bands!r}.")
    return bands[0], bands[1], bands[2]


PLAIN = PixelRule()
