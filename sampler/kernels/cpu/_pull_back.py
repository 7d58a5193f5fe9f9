"""The CPU kernel of the backward pass of anti-aliased `sample`, from the pixels through the footprints to the grid."""

# ruff: noqa: PLR0917 - compiled functions take arrays by place
# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels._footprint import BEND
from foveal.sampler.kernels.cpu._compiled import compiled
from foveal.sampler.kernels.cpu._find import back_to_steps, find_bends, find_steps

Reals = NDArray[np.floating]
Size = tuple[int, int]
Band = tuple[int, int]  # rows of the output, [first, last)
_NUMBERS = 8  # of a point: by x, by y, by the four steps, and by x and y times the share of its bends


@compiled
@no_type_check
def pull_footprints_back_into(
    by_pixels: Reals, slope: Reals, grid: Reals, size: Size, by_grid: Reals, rows: Band
) -> None:
    """Write some rows of ``by_grid`` (H, W, 2) from ``by_pixels`` (3, H, W) and ``slope`` (5, 3, H, W), by the footprints.

    ``size``: height and width of the source. A point moves its own footprint, and is an end of its neighbours' steps.
    """
    height, width = grid.shape[0], grid.shape[1]
    first, last = max(0, rows[0] - 1), min(height, rows[1] + 1)
    steps, by = np.empty((8, width), grid.dtype), np.empty((last - first, _NUMBERS, width), grid.dtype)
    for i in range(first, last):
        for n in range(5):
            for j in range(width):
                by[i - first, n, j] = (
                    by_pixels[0, i, j] * slope[n, 0, i, j]
                    + by_pixels[1, i, j] * slope[n, 1, i, j]
                    + by_pixels[2, i, j] * slope[n, 2, i, j]
                )
        _to_points(grid, i, size, steps, by[i - first])
    for i in range(rows[0], rows[1]):
        _gather(by, i - first, i, size, by_grid[i], height)


@compiled
@no_type_check
def pull_numbers_back_into(numbers: Reals, grid: Reals, size: Size, by_grid: Reals, rows: Band) -> None:
    """Write some rows of ``by_grid`` (H, W, 2) from the derivatives by the five ``numbers`` (5, H, W) of the footprints."""
    height, width = grid.shape[0], grid.shape[1]
    first, last = max(0, rows[0] - 1), min(height, rows[1] + 1)
    steps, by = np.empty((8, width), grid.dtype), np.empty((last - first, _NUMBERS, width), grid.dtype)
    for i in range(first, last):
        by[i - first, :5] = numbers[:, i]
        _to_points(grid, i, size, steps, by[i - first])
    for i in range(rows[0], rows[1]):
        _gather(by, i - first, i, size, by_grid[i], height)


@compiled
@no_type_check
def _to_points(grid: Reals, i: int, size: Size, steps: Reals, by: Reals) -> None:
    """Convert derivatives ``by`` the five numbers of row i's footprints (8, W) to those by x, y, the four steps, and the two bends."""
    find_bends(grid, i, size, steps[:4])
    for n in range(2):
        for j in range(by.shape[1]):
            by[6 + n, j] = by[n, j] * steps[2 + n, j] * by.dtype.type(BEND)
    find_steps(grid, i, size, steps)
    back_to_steps(steps, by)


@compiled
@no_type_check
def _gather(  # noqa: C901, PLR0912 - a stencil: each neighbour once
    by: Reals, k: int, i: int, size: Size, by_points: Reals, height: int
) -> None:
    """Write row i of the grid's derivatives, ``by_points`` (W, 2), from row k of ``by`` and the two beside it."""
    real, width = by.dtype.type, by_points.shape[0]
    half, one, two = real(0.5), real(1), real(2)
    for axis in range(2):
        scale = real(size[1 - axis]) * half
        along, down, bend = 2 + axis, 4 + axis, 6 + axis
        for j in range(width):
            total = by[k, axis, j]
            if j > 0:  # the right end of the left neighbour's step
                total += by[k, along, j - 1] * (one if j == 1 else half)
            if j < width - 1:  # the left end of the right neighbour's
                total -= by[k, along, j + 1] * (one if j == width - 2 else half)
            if i > 0:
                total += by[k - 1, down, j] * (one if i == 1 else half)
            if i < height - 1:
                total -= by[k + 1, down, j] * (one if i == height - 2 else half)
            # Inside, a point moves the centres of its own footprint and of its neighbours'.
            if 0 < j < width - 1:
                total -= two * by[k, bend, j]
            if 0 < i < height - 1:
                total -= two * by[k, bend, j]
            if j > 1:
                total += by[k, bend, j - 1]
            if j < width - 2:
                total += by[k, bend, j + 1]
            if i > 1:
                total += by[k - 1, bend, j]
            if i < height - 2:
                total += by[k + 1, bend, j]
            by_points[j, axis] = total
        for j in (0, width - 1):  # a point at the border is also an end of its own step
            by_points[j, axis] += real((j == width - 1) - (j == 0)) * by[k, along, j]
        if i == 0 or i == height - 1:
            sign = real((i == height - 1) - (i == 0))
            for j in range(width):
                by_points[j, axis] += sign * by[k, down, j]
        for j in range(width):
            by_points[j, axis] *= scale
