"""Grids that are drawn along each axis alone: two rows of numbers until the very end, where they become points."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.grids._grid_settings import Marginal

Axes = tuple[Float[Tensor, "batch width"], Float[Tensor, "batch height"]]
"""Where the columns of a grid stand, and where its rows do."""


def marginals(
    weights: Float[Tensor, "batch 1 rows cols"], marginal: Marginal
) -> tuple[Float[Tensor, "batch cols"], Float[Tensor, "batch rows"]]:
    """Return what each map is along x, and along y, in float64."""
    if marginal == "max":
        by_col, by_row = weights[:, 0].amax(dim=1).double(), weights[:, 0].amax(dim=2).double()
    else:
        by_col, by_row = (weights[:, 0].sum(dim=k, dtype=torch.float64) for k in (1, 2))
    return by_col, by_row


def along_axes(
    axis: Callable[[Tensor, int], Tensor],
    lines: tuple[Float[Tensor, "batch cols"], Float[Tensor, "batch rows"]],
    out_size: tuple[int, int],
) -> Axes:
    """Return ``axis(line, pixels)`` for x and for y; for both at once where they are of one size."""
    by_col, by_row = lines
    height, width = out_size
    if height == width and by_col.shape == by_row.shape:
        x, y = axis(torch.cat(lines), width).chunk(2)
        return x, y
    return axis(by_col, width), axis(by_row, height)
