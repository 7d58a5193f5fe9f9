"""Anti-aliased `sample` in plain torch: what the kernel is held against, what runs where there is none, and for floats."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal.sampler.kernels._footprint import READ_CELLS, Cells, Footprint, cells, footprints


def antialias_reference(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> tuple[Float[Tensor, "batch channel height width"], Float[Tensor, "batch 2 channel height width"]]:
    """Average images of one size over the grid's footprints; autograd knows the way back to the images.

    Returns:
        The averages, on the images' scale, and their derivatives by the grid's x, and by its y, for a footprint
        that moves and keeps its shape.
    """
    height, width = images.shape[2:]
    foot = footprints(grid.detach(), (height, width))
    rows, columns = cells(foot.down, 1), cells(foot.across, 2)
    long = foot.down / rows.stride
    top = (foot.y - rows.shift) / rows.stride - long * 0.5
    total = by_x = by_y = grid.new_zeros(())
    for k in range(_most_cells(long)):
        inside, change = (share[:, None] for share in _share(top, long, torch.tensor(k, device=top.device)))
        row = (top.floor() + k) * rows.stride + rows.first
        run, run_change = _run(images, row, foot, columns)
        total = total + inside * run
        by_x = by_x + inside * run_change
        by_y = by_y + change * run
    area = (foot.down * foot.across)[:, None]
    by_x = by_x * rows.stride[:, None] / area
    by_y = by_y * columns.stride[:, None] / area - foot.lean[:, None] * by_x
    slope = torch.stack([by_x * (width / 2), by_y * (height / 2)], dim=1)
    return total * (rows.stride * columns.stride)[:, None] / area, slope


def antialias_dense(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    """The same with autograd's way to the grid, too: a term that is zero, and whose derivative is the slope."""
    averages, slope = antialias_reference(images, grid)
    moved = (grid - grid.detach()).nan_to_num(nan=0, posinf=0, neginf=0)
    towards_x, towards_y = (slope.detach() * moved.permute(0, 3, 1, 2)[:, :, None]).unbind(dim=1)
    return averages + towards_x + towards_y


def _run(
    images: Float[Tensor, "batch channel _height _width"],
    row: Float[Tensor, "batch height width"],
    foot: Footprint,
    columns: Cells,
) -> tuple[Float[Tensor, "batch channel height width"], Float[Tensor, "batch channel height width"]]:
    """Sum the cells under each footprint in one row of the source, and how that changes as it moves on by a cell."""
    long = foot.across / columns.stride
    middle = foot.x - columns.shift + foot.lean * (row + 0.5 - foot.y)
    left = middle / columns.stride - long * 0.5
    k = torch.arange(_most_cells(long), device=long.device)
    inside, change = _share(left[..., None], long[..., None], k)
    centre = (left.floor()[..., None] + k + 0.5) * columns.stride[..., None] + columns.shift[..., None]
    found = _read(images, centre, (row + 0.5)[..., None].expand_as(centre))
    return (inside[:, None] * found).sum(dim=-1), (change[:, None] * found).sum(dim=-1)


def _read(
    images: Float[Tensor, "batch channel _height _width"],
    x: Float[Tensor, "batch height width taps"],
    y: Float[Tensor, "batch height width taps"],
) -> Float[Tensor, "batch channel height width taps"]:
    """Read points, in pixels from the outer edge, that are the centre of a pixel or in the middle between two."""
    points = torch.stack([x * (2 / images.shape[3]) - 1, y * (2 / images.shape[2]) - 1], dim=-1).flatten(2, 3)
    found: Tensor = grid_sample(images, points, mode="bilinear", padding_mode="border", align_corners=False)
    return found.view(*images.shape[:2], *x.shape[1:])


def _share(
    start: Float[Tensor, "..."], long: Float[Tensor, "..."], k: Int[Tensor, "..."]
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """How much of a footprint's cell k lies in [start, start + long), in cells, and how that changes with the start.

    Cell 0 is the one that the footprint starts in.
    """
    begin = start - start.floor()
    end = begin + long
    first, last = (k == 0).to(end.dtype), (k == end.floor()).to(end.dtype)
    return (k < end.floor()) + last * (end - k) - first * begin, last - first


def _most_cells(long: Float[Tensor, "batch height width"]) -> int:
    """How many cells the longest footprint may touch; a graph being compiled cannot ask."""
    if torch.compiler.is_compiling() or long.numel() == 0:
        return READ_CELLS
    return math.ceil(long.max().item()) + 1
