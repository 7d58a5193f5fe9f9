"""The part of the source over which one output pixel averages.

A grid maps the output's plane to the source's; between its points it is bilinear. Near one output pixel that map is almost
affine, and the pixel's square becomes a parallelogram spanned by the steps to its neighbours, a and b. The footprint is a
box, sheared along the rows, so that it covers one run of pixels in each source row.

Such a box cannot have sloping upper and lower edges. With the second moments of the parallelogram, C = a a^T + b b^T, it is
right for smooth content, but its left and right edges slope too much, which is wrong for fine stripes. With the edges of
the parallelogram it would be right for stripes, and wrong for smooth content. So it is between both: of a and b, the one
that is more along the rows has its slope reduced, to half if it is small. The box has the moments C of these two.

The box is centred at the mean position of the pixel's square, which lies between grid points: where the step to the
right is longer than the step to the left, it lies right of the pixel's own point, by an eighth of the difference.

Where the grid magnifies, C's eigenvalues are raised to 1: the box is then one source pixel,
and its average over the image of little squares is what bilinear interpolation gives.

Every source pixel counts by its part inside the box: a row by the part of its height, and within a row a pixel by the
part of its width. So the average is continuous in all five numbers of a footprint, and no pattern of the source is
missed, however fine. It is differentiable in them wherever no edge of the box lies on an edge between pixels.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FAR = 4
"""In sizes of the image: points further away only read the border."""

TORN = 2
"""In sizes of the image: a longer step, or NaN, is ignored for the footprint."""

WIDEST = 16
"""In uniform steps: a longer step is shortened to this, otherwise a discontinuous grid would read the whole image for each pixel."""

BEND = 1 / 8
"""How far the mean position of a pixel lies from its point, as a share of the difference between the steps on both sides."""

TINY = 1e-6


class Footprint(NamedTuple):
    """Position and extent of an output pixel in the source, in pixels from the outer edge."""

    x: Float[Tensor, "batch height width"]
    y: Float[Tensor, "batch height width"]
    across: Float[Tensor, "batch height width"]
    """Length of the run in each source row; at least one pixel in the narrow direction."""
    down: Float[Tensor, "batch height width"]
    lean: Float[Tensor, "batch height width"]
    """Horizontal offset of a run from that of the row above."""


def footprints(grid: Float[Tensor, "batch height width 2"], size: tuple[int, int]) -> Footprint:
    """Return each output pixel's footprint in a source of ``size`` (height, width); differentiable in the grid."""
    height, width = size
    a_x, a_y = _step(grid, 2, 0, width), _step(grid, 2, 1, height)
    b_x, b_y = _step(grid, 1, 0, width), _step(grid, 1, 1, height)
    a_y, b_y = _flatten(a_y, b_y)
    across, down, lean = _box(a_x, a_y, b_x, b_y)
    x, y = (_position(grid[..., n], size[1 - n]) + _bend(grid, n, size[1 - n]) for n in range(2))
    return Footprint(x, y, across, down, lean)


def _flatten(
    a_y: Float[Tensor, "batch height width"], b_y: Float[Tensor, "batch height width"]
) -> tuple[Tensor, Tensor]:
    """Reduce the smaller of two slopes, to half if it is much smaller than the other."""
    most = torch.maximum(a_y * a_y, b_y * b_y).clamp(min=TINY * TINY)
    return a_y * (a_y * a_y / most + 1) * 0.5, b_y * (b_y * b_y / most + 1) * 0.5


def _bend(
    grid: Float[Tensor, "batch height width 2"], axis: int, length: int
) -> Float[Tensor, "batch height width"]:
    """How far the mean of x (axis 0) or y (axis 1) over an output pixel is from its point, in pixels; 0 next to long steps."""
    points = grid[..., axis] * (length * 0.5)
    bend, near = torch.zeros_like(points), torch.ones_like(points, dtype=torch.bool)
    for dim in (1, 2):
        count = grid.shape[dim]
        ahead = torch.cat([points.narrow(dim, 1, count - 1), points.narrow(dim, count - 1, 1)], dim) - points
        behind = points - torch.cat([points.narrow(dim, 0, 1), points.narrow(dim, 0, count - 1)], dim)
        for step in (ahead.abs(), behind.abs()):
            near = near & (step <= TORN * length) & (step <= WIDEST * length / count)
        share = torch.full((count,), BEND, dtype=grid.dtype, device=grid.device)
        share[0] = share[-1] = 0  # beyond the border the grid goes on with equal steps
        bend = bend + (ahead - behind) * (share if dim == 2 else share[:, None])
    return torch.where(near, bend, 0)


def _box(
    a_x: Float[Tensor, "batch height width"],
    a_y: Float[Tensor, "batch height width"],
    b_x: Float[Tensor, "batch height width"],
    b_y: Float[Tensor, "batch height width"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return across, down and lean of the box with the second moments of two steps, none of which is below those of a pixel.

    In a long, thin footprint float32 cannot hold both eigenvalues of C in one sum or difference. So the small one is the
    determinant over the large one, and where both are kept, the moments are used as they are.
    """
    c_xx, c_yy, c_xy = a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y
    half, area = (c_xx - c_yy) * 0.5, (a_x * b_y - a_y * b_x).abs()
    radius = _root(half * half + c_xy * c_xy)
    large = ((c_xx + c_yy) * 0.5 + radius).clamp(min=1)
    small = area * area / large
    # The off-diagonal element is kept if both eigenvalues are, and zero if both are raised.
    kept = (large - 1) * 0.5 / radius.clamp(min=TINY)
    both = small > 1
    yy, xy = torch.where(both, c_yy, 1 + kept * (c_yy - small)), torch.where(both, c_xy, kept * c_xy)
    down = yy.sqrt()
    return torch.where(both, area, large.sqrt()) / down, down, xy / yy


def _root(square: Float[Tensor, "batch height width"]) -> Float[Tensor, "batch height width"]:
    """The square root, whose derivative at zero is zero: there both eigenvalues are the same."""
    none: Bool[Tensor, "batch height width"] = square == 0
    return torch.where(none, 0, torch.where(none, 1, square).sqrt())


def _step(
    grid: Float[Tensor, "batch height width 2"], dim: int, axis: int, length: int
) -> Float[Tensor, "batch height width"]:
    """How far the source's x (axis 0) or y (axis 1) goes, in pixels, per output column (dim 2) or row (dim 1)."""
    points, count = grid[..., axis], grid.shape[dim]
    if count == 1:  # one point has no neighbour: as on the uniform grid, it represents the whole length
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
