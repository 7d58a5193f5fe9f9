"""The part of the source that one output pixel stands for, and the lattice of source pixels that it is read on.

A grid maps the output's plane to the source's. Near one output pixel that map is affine, and the pixel's square becomes
a parallelogram spanned by the steps to its neighbours, a and b. Its second moments are those of C = a a^T + b b^T.
The footprint is the box, sheared along the rows, with just these moments and the parallelogram's area, so that a source
row crosses it in one run. Where the grid magnifies, C's eigenvalues are raised to 1: the box is then one source pixel,
and its average over the image of little squares is what bilinear interpolation gives.

A footprint is cut by a lattice that lies fixed in the source: cells of ``stride`` rows and columns, of which at most
``MOST_CELLS`` fit into it, each known by one of its rows and by the mean of its two middle columns. What is averaged
is the image that is constant on each cell, exactly; hence the average is continuous in the footprint's place.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

MOST_CELLS = (
    5.9  # of a footprint, along either axis; not whole, so that no common ratio of sizes falls on a threshold
)
READ_CELLS = 7  # a footprint that begins within a cell reaches into no more
_FAR = 4  # images away: beyond, whatever is read is the border
_LONGEST_STEP = 2  # images long: what is longer, or NaN, says nothing about a footprint
_TINY = 1e-12


class Footprint(NamedTuple):
    """Where an output pixel lies in the source, in pixels from the outer edge, and what it covers there."""

    x: Float[Tensor, "batch height width"]
    y: Float[Tensor, "batch height width"]
    across: Float[Tensor, "batch height width"]
    """Length of the run in each source row; at least one pixel along the narrow way."""
    down: Float[Tensor, "batch height width"]
    lean: Float[Tensor, "batch height width"]
    """By how much a run lies further right than that of the row above."""


class Cells(NamedTuple):
    """One axis of the lattice under each footprint."""

    stride: Float[Tensor, "batch height width"]
    shift: Float[Tensor, "batch height width"]
    """From the middle of a cell to the middle of the pixels that it is known by."""
    first: Int[Tensor, "batch height width"]
    """Within a cell, the first of these pixels."""


def footprints(grid: Float[Tensor, "batch height width 2"], size: tuple[int, int]) -> Footprint:
    """Return each output pixel's footprint in a source of ``size`` (height, width), by the grid's finite differences."""
    height, width = size
    a_x, a_y = _step(grid, 2, 0, width), _step(grid, 2, 1, height)
    b_x, b_y = _step(grid, 1, 0, width), _step(grid, 1, 1, height)
    c_xx, c_yy, c_xy = a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y
    half, middle = (c_xx - c_yy) * 0.5, (c_xx + c_yy) * 0.5
    radius = (half * half + c_xy * c_xy).sqrt()
    large, small = (middle + radius).clamp(min=1), (middle - radius).clamp(min=1)
    kept = (large - small) * 0.5 / radius.clamp(min=_TINY)
    c_yy, c_xy = (large + small) * 0.5 - kept * half, kept * c_xy
    down = c_yy.sqrt()
    x, y = _position(grid[..., 0], width), _position(grid[..., 1], height)
    return Footprint(x, y, (large * small).sqrt() / down, down, c_xy / c_yy)


def cells(length: Float[Tensor, "batch height width"], most_pixels: int) -> Cells:
    """Choose the stride for footprints of this length; a cell is known by ``most_pixels`` of its pixels, if it has them."""
    stride = 1 + (length * (1 / MOST_CELLS)).floor()
    pixels = stride.clamp(max=most_pixels)
    first = ((stride - pixels) * 0.5).floor()
    return Cells(stride, first + pixels * 0.5 - stride * 0.5, first.long())


def _step(
    grid: Float[Tensor, "batch height width 2"], dim: int, axis: int, length: int
) -> Float[Tensor, "batch height width"]:
    """How far the source's x (axis 0) or y (axis 1) goes, in pixels, per output column (dim 2) or row (dim 1)."""
    points, count = grid[..., axis], grid.shape[dim]
    if count == 1:  # one point has no neighbour: as on the uniform grid, it stands for the whole length
        return torch.full_like(points, length if dim == 2 - axis else 0)
    ahead = torch.cat([points.narrow(dim, 1, count - 1), points.narrow(dim, count - 1, 1)], dim)
    behind = torch.cat([points.narrow(dim, 0, 1), points.narrow(dim, 0, count - 1)], dim)
    share = torch.full((count,), 0.5, dtype=grid.dtype, device=grid.device)
    share[0] = share[-1] = 1
    step = (ahead - behind) * (share if dim == 2 else share[:, None]) * (length * 0.5)
    return torch.where(step.abs() <= _LONGEST_STEP * length, step, 0)


def _position(
    coordinate: Float[Tensor, "batch height width"], length: int
) -> Float[Tensor, "batch height width"]:
    position = (coordinate + 1) * (length * 0.5)
    lowest = -_FAR * length
    return torch.where(position > lowest, position, lowest).clamp(max=_FAR * length)  # NaN goes to pixel 0
