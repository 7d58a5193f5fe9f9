"""The kernel's attraction along each axis alone, as FOVEA (ICCV 2021) and LZU (CVPR 2023) use it.

The columns of the grid are drawn by the map summed over its rows, and the rows by the map summed over its columns, so
that boxes stay boxes and inverting the grid is one interpolation per axis. For a map that is a product of two marginals
it is the paper's grid; otherwise two objects draw points also to the two crossings of their rows and columns.

Both published codes place the nodes, and then read them, with ``align_corners=True``, and move labels with half-pixel
coordinates; here nodes, pixels and labels share one frame.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import interpolation, outer_grid
from foveal.sampler.grids._grid_settings import Marginal, Padding
from foveal.sampler.grids._kernel_grid import axis_nodes


def separable_grid(
    weights: Float[Tensor, "batch 1 rows cols"],
    out_size: tuple[int, int],
    fwhm: float,
    padding: Padding,
    marginal: Marginal,
) -> Float[Tensor, "batch height width 2"]:
    """Read each axis' own node map at the output's pixel centres; always computed in float64."""
    wide = weights[:, 0].double()
    by_col, by_row = ((wide.amax(dim=k) if marginal == "max" else wide.sum(dim=k)) for k in (1, 2))
    # Of one sum, which the nodes do not depend on but for the floor that is added to each.
    x = _axis(by_col / by_col.sum(dim=1, keepdim=True), out_size[1], fwhm, padding)
    y = _axis(by_row / by_row.sum(dim=1, keepdim=True), out_size[0], fwhm, padding)
    return outer_grid(x, y).to(weights.dtype)


def _axis(
    marginal: Float[Tensor, "batch nodes"], pixels: int, fwhm: float, padding: Padding
) -> Float[Tensor, "batch pixels"]:
    nodes = axis_nodes(marginal, fwhm, padding)
    return nodes @ interpolation(nodes.shape[1], pixels, torch.float64, nodes.device).T
