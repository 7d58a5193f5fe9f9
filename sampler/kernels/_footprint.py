"""The part of the source that one output pixel stands for.

A grid maps the output's plane to the source's. Near one output pixel that map is affine, and the pixel's square becomes
a parallelogram spanned by the steps to its neighbours, a and b. Its second moments are those of C = a a^T + b b^T.
The footprint is the box, sheared along the rows, with just these moments and the parallelogram's area, so that a source
row crosses it in one run. Where the grid magnifies, C's eigenvalues are raised to 1: the box is then one source pixel,
and its average over the image of little squares is what bilinear interpolation gives.

Every source pixel counts by the part of it that is inside: a row by the part of its height, and within a row a pixel by
the part of its width. So the average is continuous in all five numbers of a footprint, and no pattern of the source,
however fine, is missed. Its derivative by them is known wherever no edge of the box lies on an edge between pixels.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FAR = 4
"""Images away: beyond, whatever is read is the border."""

TORN = 2
"""Images long: a step that is longer, or NaN, says nothing about a footprint."""

WIDEST = 16
"""Uniform steps: a longer step counts as one of this length, or a torn grid would read the whole image for each pixel."""

_TINY = 1e-6


class Footprint(NamedTuple):
    """Where an output pixel lies in the source, in pixels from the outer edge, and what it covers there."""

    x: Float[Tensor, "batch height width"]
    y: Float[Tensor, "batch height width"]
    across: Float[Tensor, "batch height width"]
    """Length of the run in each source row; at least one pixel along the narrow way."""
    down: Float[Tensor, "batch height width"]
    lean: Float[Tensor, "batch height width"]
    """By how much a run lies further right than that of the row above."""


def footprints(grid: Float[Tensor, "batch height width 2"], size: tuple[int, int]) -> Footprint:
    """Return each output pixel's footprint in a source of ``size`` (height, width); autograd knows the way back to the grid."""
    height, width = size
    a_x, a_y = _step(grid, 2, 0, width), _step(grid, 2, 1, height)
    b_x, b_y = _step(grid, 1, 0, width), _step(grid, 1, 1, height)
    across, down, lean = _box(a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y)
    return Footprint(_position(grid[..., 0], width), _position(grid[..., 1], height), across, down, lean)


def _box(
    c_xx: Float[Tensor, "batch height width"],
    c_yy: Float[Tensor, "batch height width"],
    c_xy: Float[Tensor, "batch height width"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return across, down and lean of the box of these second moments, none of which is below those of a pixel."""
    half, middle = (c_xx - c_yy) * 0.5, (c_xx + c_yy) * 0.5
    radius = _root(half * half + c_xy * c_xy)
    large, small = (middle + radius).clamp(min=1), (middle - radius).clamp(min=1)
    # Of what lies off the diagonal, all is kept where both eigenvalues are, and nothing where both are raised.
    partly = (large - small) * 0.5 / radius.clamp(min=_TINY)
    kept = torch.where(middle - radius > 1, 1, torch.where(middle + radius > 1, partly, 0))
    c_yy, c_xy = (large + small) * 0.5 - kept * half, kept * c_xy
    down = c_yy.sqrt()
    return (large * small).sqrt() / down, down, c_xy / c_yy


def _root(square: Float[Tensor, "batch height width"]) -> Float[Tensor, "batch height width"]:
    """The square root, whose derivative at zero is zero: there both eigenvalues are the same."""
    none: Bool[Tensor, "batch height width"] = square == 0
    return torch.where(none, 0, torch.where(none, 1, square).sqrt())


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
    widest = WIDEST * length / count
    return torch.where(step.abs() <= TORN * length, step, 0).clamp(-widest, widest)


def _position(
    coordinate: Float[Tensor, "batch height width"], length: int
) -> Float[Tensor, "batch height width"]:
    position = (coordinate + 1) * (length * 0.5)
    lowest = -FAR * length
    return torch.where(position > lowest, position, lowest).clamp(max=FAR * length)  # NaN goes to pixel 0
