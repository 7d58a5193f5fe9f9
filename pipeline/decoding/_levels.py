"""Converts samples of any depth to levels of 8 or 16 bits. No other module does this.

A level is ``(value - low) / (high - low)`` of the window, clipped to [0, 1] and rounded once. Without a window ``low`` is
0 and ``high`` is the value that the header calls white; samples outside this range are refused, because they need a window.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16
from numpy.typing import NDArray

from foveal.pipeline.decoding._decode_error import needs_window
from foveal.pipeline.decoding._pixel_rule import Bits, Window
from foveal.pipeline.decoding.formats import Range, Samples

AUTO_PERCENTILES = (1.0, 99.0)
# Number of samples that are computed at a time if there is no table, so that temporary memory stays small.
_AT_ONCE = 1 << 18
# For a larger image, percentiles are computed from every k-th pixel along both axes.
_PERCENTILE_SAMPLES = 1 << 20


def to_levels(
    samples: Samples, window: Window | None = None, bits: Bits = 8
) -> UInt8[np.ndarray, "_height _width 3"] | UInt16[np.ndarray, "_height _width 3"]:
    """Return an RGB image whose levels are of 8 or 16 bits.

    Args:
        samples: Grey (one band), RGB (three) or CMYK (four).
        window: The values, in the file's own units, that become black and white; ``"auto"`` for percentiles 1 and 99
            of the image, all bands together; None for the file's own window, or what its header calls white.
        bits: Bits of the result.

    Raises:
        DecodeError: Without a window, values lie outside [0, white], or the header does not say what is white.
    """
    if samples.cmyk:
        samples = _without_ink(samples)
    low, high = _stored_range(samples, window)
    if samples.zero_is_white:
        low, high = high, low
    top = 2**bits - 1
    values = samples.values
    table = (
        _table(values.dtype, low, high, top) if values.size > 1 << 12 or values.dtype.itemsize == 1 else None
    )
    rgb = np.empty((*values.shape[:2], 3), np.uint8 if bits == 8 else np.uint16)
    levels = rgb if values.shape[2] == 3 else rgb[..., :1]
    for rows in _in_parts(values):
        part = values[rows]
        if table is None:
            levels[rows] = _computed(part, low, high, top)
        else:
            np.take(table, part.view(_UNSIGNED[part.dtype.itemsize]), out=levels[rows], mode="wrap")
    if values.shape[2] != 3:
        rgb[..., 1:] = rgb[..., :1]
    return rgb


_UNSIGNED = {1: np.uint8, 2: np.uint16}


def _in_parts(values: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, _AT_ONCE // (values.shape[1] * values.shape[2]))
    return (slice(top, top + rows) for top in range(0, values.shape[0], rows))


def _table(dtype: np.dtype[Any], low: float, high: float, top: int) -> NDArray[Any] | None:
    """Return the level of every value that an integer type of up to 16 bits can have; None for wider types."""
    if dtype.kind not in "uib" or dtype.itemsize > 2:
        return None
    unsigned = _UNSIGNED[dtype.itemsize]
    every = np.arange(2 ** (8 * dtype.itemsize), dtype=unsigned)
    return _computed(every.view(dtype) if dtype.kind != "b" else every, low, high, top)


def _computed(values: NDArray[Any], low: float, high: float, top: int) -> NDArray[Any]:
    """Return levels by the rule, in double precision; NaN becomes black."""
    if low == high:  # percentiles of an image of one value
        return np.zeros(values.shape, np.uint8 if top == 255 else np.uint16)
    with np.errstate(invalid="ignore", over="ignore"):
        levels = (values.astype(np.float64) - low) * (top / (high - low))
    np.nan_to_num(levels, copy=False, nan=0.0, posinf=top, neginf=0.0)
    rounded: NDArray[Any] = np.rint(levels.clip(0, top)).astype(np.uint8 if top == 255 else np.uint16)
    return rounded


def _stored_range(samples: Samples, window: Window | None) -> Range:
    """Return the stored values that become the darkest and the brightest."""
    if window == "auto":
        return _percentiles(samples)
    window = window or samples.window
    if window is not None:
        low, high = ((end - samples.intercept) / samples.slope for end in window)
        return low, high
    if samples.white is None:
        raise needs_window(
            f"its samples are {samples.values.dtype}, of which the header does not say what is white"
        )
    if samples.values.dtype.kind == "f":
        _check_within(samples)
    return (0.0, samples.white) if samples.slope > 0 else (samples.white, 0.0)


def _check_within(samples: Samples) -> None:
    known = _known(samples, samples.values)
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if low < 0 or high > 1:
        raise needs_window(f"its samples lie in [{low:g}, {high:g}], outside [0, 1]")


def _percentiles(samples: Samples) -> Range:
    step = int(np.ceil(np.sqrt(samples.values.size / _PERCENTILE_SAMPLES))) or 1
    some = samples.values[::step, ::step]
    if np.array_equal(some[..., :1].repeat(some.shape[2], axis=2), some, equal_nan=some.dtype.kind == "f"):
        some = some[..., :1]  # grey that was converted to RGB counts as grey
    known = _known(samples, some)
    if not known.size:
        return 0.0, 0.0
    low, high = np.percentile(known.astype(np.float64), AUTO_PERCENTILES)
    return float(low), float(high)


def _known(samples: Samples, values: NDArray[Any]) -> NDArray[Any]:
    """Return the values that are finite and not the nodata value."""
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
    return known if samples.nodata is None else known[known != samples.nodata]


def _without_ink(samples: Samples) -> Samples:
    """Convert CMYK to RGB as Pillow does, (1 - ink) * (1 - black), in the samples' own depth."""
    white = samples.white or 1.0
    light = white - samples.values.astype(np.float64)
    rgb = light[..., :3] * light[..., 3:] / white
    values = rgb if samples.values.dtype.kind == "f" else np.rint(rgb).astype(samples.values.dtype)
    return replace(samples, values=values, cmyk=False)
