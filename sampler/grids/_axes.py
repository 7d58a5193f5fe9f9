"""Grids whose x depends on the column only and y on the row only: they are kept as one line for each axis until the end."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.grids._grid_settings import Marginal

Axes = tuple[Float[Tensor, "batch width"], Float[Tensor, "batch height"]]
"""x of each column of a grid, and y of each row."""


def marginals(
    weights: Float[Tensor, "batch 1 rows cols"], marginal: Marginal
) -> tuple[Float[Tensor, "batch cols"], Float[Tensor, "batch rows"]]:
    """Return the sum, or the maximum, of each map over its rows and over its columns, in float64."""
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
    """Return ``axis(line, pixels)`` for x and for y; both are computed in one call if they have the same size."""
    by_col, by_row = lines
    height, width = out_size
    if height == width and by_col.shape == by_row.shape:
        both, batch = axis(torch.cat(lines), width), by_col.shape[0]
        # chunk(2) would keep an exported program from taking batches of any size.
        return both[:batch], both[batch:]
    return axis(by_col, width), axis(by_row, height)
