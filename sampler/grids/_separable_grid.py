"""The kernel's attraction along each axis alone, as FOVEA (ICCV 2021) and LZU (CVPR 2023) use it.

The columns of the grid are drawn by the map summed over its rows, and the rows by the map summed over its columns, so
that boxes stay boxes and inverting the grid is one interpolation per axis. For a map that is a product of two marginals
it equals the paper's grid; otherwise two objects also attract points to the two crossings of their rows and columns.

Both published codes place and read the nodes with ``align_corners=True``, but warp labels with half-pixel coordinates;
here nodes, pixels and labels share one frame.
"""

from functools import partial

from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import interpolation
from foveal.sampler.grids._axes import Axes, along_axes, marginals
from foveal.sampler.grids._grid_settings import GridSettings
from foveal.sampler.grids._kernel_grid import axis_nodes


def separable_axes(
    weights: Float[Tensor, "batch 1 rows cols"], out_size: tuple[int, int], settings: GridSettings
) -> Axes:
    """Read each axis' own node map at the output's pixel centres; always computed in float64."""
    lines = marginals(weights, settings.marginal)
    # Nodes do not depend on a marginal's sum, but for the floor that is added to each.
    if settings.marginal == "max":
        lines = lines[0] / lines[0].sum(dim=1, keepdim=True), lines[1] / lines[1].sum(dim=1, keepdim=True)
    return along_axes(partial(_axis, settings), lines, out_size)


def _axis(
    settings: GridSettings, marginal: Float[Tensor, "lines nodes"], pixels: int
) -> Float[Tensor, "lines pixels"]:
    nodes = axis_nodes(marginal, *settings.attraction)
    return nodes @ interpolation(nodes.shape[1], pixels, nodes.dtype, nodes.device).T
