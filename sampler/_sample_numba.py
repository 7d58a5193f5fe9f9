"""The CPU kernels of `sample`: one pass over the output, reading only the four source pixels around each point.

Neither the image nor a copy of it is ever held as float, so the time goes with the output and not with the source.
Each output row is done in two steps: fetch the pixels, which is all waiting for memory, then blend them, which the
compiler turns into vector instructions because it is free of the addresses.
"""

# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler._compiled import compiled

Pixels = NDArray[np.uint8]
Reals = NDArray[np.floating]


@compiled
@no_type_check
def sample_into(image: Pixels, grid: Reals, pixels: Reals, band: tuple[int, int]) -> None:
    """Write the rows [first, last) of ``band`` in ``pixels`` (3, H, W) from ``image`` (h, w, 3) at ``grid`` (H, W, 2)."""
    real = pixels.dtype.type
    taps = np.empty((4, 3, grid.shape[1]), np.uint8)
    place = np.empty((4, grid.shape[1]), pixels.dtype)
    for i in range(band[0], band[1]):
        _fetch(image, grid[i], taps, place)
        for c in range(3):
            for j in range(grid.shape[1]):
                top, bottom = real(taps[0, c, j]), real(taps[2, c, j])
                top += place[0, j] * (real(taps[1, c, j]) - top)
                bottom += place[0, j] * (real(taps[3, c, j]) - bottom)
                pixels[c, i, j] = (top + place[1, j] * (bottom - top)) * real(1 / 255)


@compiled
@no_type_check
def sample_with_slope_into(
    image: Pixels, grid: Reals, pixels: Reals, slope: Reals, band: tuple[int, int]
) -> None:
    """The same, and ``slope`` (2, 3, H, W): the derivative of each pixel by its grid point's x, and by its y."""
    real = pixels.dtype.type
    taps = np.empty((4, 3, grid.shape[1]), np.uint8)
    place = np.empty((4, grid.shape[1]), pixels.dtype)
    for i in range(band[0], band[1]):
        _fetch(image, grid[i], taps, place)
        for c in range(3):
            for j in range(grid.shape[1]):
                top, bottom = real(taps[0, c, j]), real(taps[2, c, j])
                top_step, bottom_step = real(taps[1, c, j]) - top, real(taps[3, c, j]) - bottom
                top += place[0, j] * top_step
                bottom += place[0, j] * bottom_step
                pixels[c, i, j] = (top + place[1, j] * (bottom - top)) * real(1 / 255)
                slope[0, c, i, j] = (top_step + place[1, j] * (bottom_step - top_step)) * place[2, j]
                slope[1, c, i, j] = (bottom - top) * place[3, j]


@compiled
@no_type_check
def _fetch(image: Pixels, points: Reals, taps: Pixels, place: Reals) -> None:
    """Fetch the pixels around each point, and where between them it lies.

    ``taps`` (4, 3, W): upper left, upper right, lower left, lower right. ``place`` (4, W): fraction of the way to
    the right and down, then values per unit of x and of y, which are zero where the point was clamped.
    """
    real = place.dtype.type
    height, width = image.shape[0], image.shape[1]
    half, one, zero = real(0.5), real(1), real(0)
    for j in range(points.shape[0]):
        x = ((points[j, 0] + one) * real(width) - one) * half
        y = ((points[j, 1] + one) * real(height) - one) * half
        place[2, j] = real(width) * half * real(1 / 255) if zero < x < real(width - 1) else zero
        place[3, j] = real(height) * half * real(1 / 255) if zero < y < real(height - 1) else zero
        x = min(x, real(width - 1)) if x > zero else zero  # NaN is not above zero either
        y = min(y, real(height - 1)) if y > zero else zero
        x0, y0 = (
            np.uint64(x),
            np.uint64(y),
        )  # unsigned: numba then leaves out its test for indices from the end
        x1, y1 = np.uint64(min(x0 + 1, width - 1)), np.uint64(min(y0 + 1, height - 1))
        place[0, j], place[1, j] = x - real(x0), y - real(y0)
        for c in range(3):
            taps[0, c, j], taps[1, c, j] = image[y0, x0, c], image[y0, x1, c]
            taps[2, c, j], taps[3, c, j] = image[y1, x0, c], image[y1, x1, c]
