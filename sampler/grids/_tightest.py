"""Finds the place at which a grid is closest to its bounds, or exceeds them most: with numba on the CPU, otherwise with torch."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from foveal.sampler.frames import is_recorded, is_transformed
from foveal.sampler.grids._kept import Bounds, corners_of, kept_of
from foveal.sampler.kernels import kernels_for
from foveal.sampler.kernels.cpu import find_tightest_on_cpu

Found = tuple[Int[Tensor, "batch 3"], Float[Tensor, " batch"]]
"""For each grid (corner, row, col), the index of the corner and the indices of its cell among the cells, and how much may be kept there."""


def tightest(
    grid: Float[Tensor, "batch height width 2"],
    places: tuple[Int[Tensor, " _rows"], Int[Tensor, " _cols"]],
    scale: tuple[float, float],
    bounds: Bounds,
) -> Found:
    """Return the tightest place of each grid, and how much of the grid may be kept there, without derivatives.

    Args:
        grid: Points (x, y) in [-1, 1].
        places: The rows and the columns at which the cells to examine begin.
        scale: What steps in (x, y) are multiplied by to be in uniform steps.
        bounds: The bounds, in uniform steps.
    """
    # A recorded program cannot call our kernels: it may run without Foveal.
    if is_recorded() or is_transformed() or kernels_for(grid.device, grid.dtype) != "numba":
        return plain_tightest(grid, places, scale, bounds)
    shortest, longest = (-1.0 if step is None else step for step in bounds[:2])
    found = places[0].new_empty(grid.shape[0], 3), grid.new_empty(grid.shape[0])
    find_tightest_on_cpu(grid, places, scale, (shortest, longest), found, singular=bounds.singular)
    return found


def plain_tightest(
    grid: Float[Tensor, "batch height width 2"],
    places: tuple[Int[Tensor, " rows"], Int[Tensor, " cols"]],
    scale: tuple[float, float],
    bounds: Bounds,
) -> Found:
    """Do the same in plain torch: for other devices, for export, and as the reference for the CPU's kernel."""
    rows, cols = places
    planes = grid.movedim(-1, 0)
    upper, lower = planes.index_select(2, rows), planes.index_select(2, rows + 1)
    left, right = ([half.index_select(3, at) for half in (upper, lower)] for at in (cols, cols + 1))
    corners = corners_of((left[0], right[0], left[1], right[1]), (1 / scale[0], 1 / scale[1]))
    kept = torch.stack([kept_of(each, bounds) for each in corners], dim=1).flatten(1)
    worst = kept.argmin(dim=1)
    corner, cell = worst // (len(rows) * len(cols)), worst % (len(rows) * len(cols))
    return torch.stack([corner, cell // len(cols), cell % len(cols)], dim=1), kept.amin(dim=1)
