"""Decoded samples as a file stores them, with the information of its header."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Range = tuple[float, float]


class RefusedError(ValueError):
    """A valid file that cannot be shown as it is asked to be. Its text is a predicate, such as "has 2 bands, ..."."""


@dataclass(frozen=True, slots=True)
class Samples:
    """An image before its samples become grey levels.

    Attributes:
        values: (height, width, bands), of any number type.
        white: The stored value that the header calls white; None if it says nothing, as for signed integers.
        zero_is_white: Whether small values are bright.
        window: The window that the file itself states, in its own units; None if it states none.
        slope: Stored values times this, plus ``intercept``, are in the file's own units.
        intercept: Likewise.
        nodata: The stored value that means "no data".
        cmyk: Whether the four bands are inks.
    """

    values: NDArray[Any] = field(repr=False)
    white: float | None = None
    zero_is_white: bool = False
    window: Range | None = None
    slope: float = 1.0
    intercept: float = 0.0
    nodata: float | None = None
    cmyk: bool = False

    def facts(self) -> dict[str, Any]:
        """Return everything but the values, as plain JSON."""
        names = ("white", "zero_is_white", "window", "slope", "intercept", "nodata", "cmyk")
        return {name: getattr(self, name) for name in names}


def white_of(values: NDArray[Any], bits: int | None = None) -> float | None:
    """Return the white value of a type: all bits set for unsigned integers, 1 for floating point, None for signed integers."""
    match values.dtype.kind:
        case "f":
            return 1.0
        case "u":
            return float(2 ** (bits or 8 * values.dtype.itemsize) - 1)
        case "b":
            return 1.0
        case _:
            return None


def chosen_bands(count: int, bands: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the bands to read: the chosen ones, or the first three, or the first if there are fewer than three.

    Raises:
        RefusedError: A band does not exist.
    """
    if bands is None:
        return (0, 1, 2) if count >= 3 else (0,)
    if max(bands) >= count:
        raise RefusedError(f"has {count} bands, counted from 0, and bands={bands} asks for {max(bands)}")
    return bands


def as_bands(values: NDArray[Any], bands: tuple[int, ...] | None) -> NDArray[Any]:
    """Return (height, width, 1 or 3) of an array (height, width) or (height, width, bands).

    Raises:
        ValueError: It has another shape, or does not have these bands.
    """
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"is not (height, width) or (height, width, bands): its shape is {values.shape}")
    chosen = chosen_bands(values.shape[2], bands)
    return values[..., list(chosen)] if chosen != tuple(range(values.shape[2])) else values
