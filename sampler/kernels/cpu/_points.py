"""The CPU kernels of `sample`: one pass over the output, reading only the four source pixels around each point.

The image is never converted to float as a whole, so the time depends on the size of the output and not of the source.
Most of the time is spent waiting for memory, because neighbouring points of a zoom are on different pages of the source.
Therefore the addresses of each output row are computed and prefetched while the previous row is read; and reading is
separate from blending, which the compiler can vectorise because it contains no addresses.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays by place
# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels.cpu._compiled import compiled
from foveal.sampler.kernels.cpu._prefetch import prefetch

Pixels = NDArray[np.uint8]
Reals = NDArray[np.floating]
Offsets = NDArray[np.int64]
Band = tuple[int, int]  # rows of the output, [first, last)


@compiled
@no_type_check
def sample_into(
    image: Pixels, grid: Reals, pixels: Reals, slope: Reals, tone: Reals, channels_last: bool, rows: Band
) -> None:
    """Write some rows of ``pixels``, (3, H, W) or (H, W, 3), flat, from ``image`` (h, w, 3), contiguous, at ``grid`` (H, W, 2).

    ``slope`` (2, 3, H, W), unless it is empty: the derivatives of each pixel with respect to its grid point's x and y.
    ``tone`` (2, 3): factor and summand of each channel.
    """
    real = grid.dtype.type
    (first, last), cols = rows, grid.shape[1]
    source = image.reshape(image.size)
    offsets, places = np.empty((2, 4, cols), np.int64), np.empty((2, 4, cols), grid.dtype)
    taps, values = np.empty((4, 3, cols), np.uint8), np.empty((3, cols), grid.dtype)
    for ahead in range(first, last + 1):
        if ahead < last:
            _locate(source, image.shape, grid[ahead], offsets[ahead % 2], places[ahead % 2])
        if ahead == first:
            continue
        i = ahead - 1
        place = places[i % 2]
        _read(source, offsets[i % 2], taps)
        for c in range(3):
            for j in range(cols):
                top, bottom = real(taps[0, c, j]), real(taps[2, c, j])
                top_step, bottom_step = real(taps[1, c, j]) - top, real(taps[3, c, j]) - bottom
                top += place[0, j] * top_step
                bottom += place[0, j] * bottom_step
                values[c, j] = (top + place[1, j] * (bottom - top)) * real(1 / 255)
                if slope.size:
                    by_x = (top_step + place[1, j] * (bottom_step - top_step)) * place[2, j]
                    slope[0, c, i, j] = by_x * tone[0, c]
                    slope[1, c, i, j] = (bottom - top) * place[3, j] * tone[0, c]
        put_row(values, tone, pixels, i, grid.shape[0], channels_last)


@compiled
@no_type_check
def put_row(values: Reals, tone: Reals, pixels: Reals, i: int, height: int, channels_last: bool) -> None:
    """Write ``values`` (3, W), toned, as row i of ``pixels``, (3, H, W) or (H, W, 3), flat: one type for both orders."""
    width = values.shape[1]
    if channels_last:
        row = pixels[3 * i * width : 3 * (i + 1) * width]
        for j in range(width):
            for c in range(3):
                row[3 * j + c] = values[c, j] * tone[0, c] + tone[1, c]
    else:
        for c in range(3):
            row = pixels[(c * height + i) * width : (c * height + i + 1) * width]
            scale, shift = tone[0, c], tone[1, c]
            for j in range(width):
                row[j] = values[c, j] * scale + shift


@compiled
@no_type_check
def pull_back_into(by_pixels: Reals, slope: Reals, by_grid: Reals, rows: Band) -> None:
    """Write some rows of ``by_grid`` (H, W, 2): the sum over the channels of ``by_pixels`` (3, H, W) times ``slope`` (2, 3, H, W)."""
    for i in range(rows[0], rows[1]):
        for j in range(by_grid.shape[1]):
            for axis in range(2):
                by_grid[i, j, axis] = (
                    by_pixels[0, i, j] * slope[axis, 0, i, j]
                    + by_pixels[1, i, j] * slope[axis, 1, i, j]
                    + by_pixels[2, i, j] * slope[axis, 2, i, j]
                )


@compiled
@no_type_check
def _locate(
    source: Pixels, shape: tuple[int, int, int], points: Reals, offsets: Offsets, place: Reals
) -> None:
    """Compute where a row's pixels are in the source, and prefetch them.

    ``offsets`` (4, W): upper left, upper right, lower left, lower right. ``place`` (4, W): fraction of the way to
    the right and down, then values per unit of x and of y, which are zero where the point was clamped.
    """
    real = place.dtype.type
    height, width = shape[0], shape[1]
    half, one, zero = real(0.5), real(1), real(0)
    for j in range(points.shape[0]):
        x = ((points[j, 0] + one) * real(width) - one) * half
        y = ((points[j, 1] + one) * real(height) - one) * half
        place[2, j] = real(width) * half * real(1 / 255) if zero < x < real(width - 1) else zero
        place[3, j] = real(height) * half * real(1 / 255) if zero < y < real(height - 1) else zero
        x = min(x, real(width - 1)) if x > zero else zero  # NaN is not above zero either
        y = min(y, real(height - 1)) if y > zero else zero
        x0, y0 = np.int64(x), np.int64(y)
        place[0, j], place[1, j] = x - real(x0), y - real(y0)
        right = 3 if x0 < width - 1 else 0
        down = 3 * width if y0 < height - 1 else 0
        first = 3 * (y0 * width + x0)
        offsets[0, j], offsets[1, j] = first, first + right
        offsets[2, j], offsets[3, j] = first + down, first + down + right
        prefetch(source, first)
        prefetch(source, first + down)


@compiled
@no_type_check
def _read(source: Pixels, offsets: Offsets, taps: Pixels) -> None:
    """Read the three channels of a row's four pixels around each point: ``taps`` (4, 3, W)."""
    for tap in range(4):
        for j in range(offsets.shape[1]):
            first = np.uint64(offsets[tap, j])  # unsigned: numba leaves out its test for indices from the end
            for c in range(3):
                taps[tap, c, j] = source[first + np.uint64(c)]
