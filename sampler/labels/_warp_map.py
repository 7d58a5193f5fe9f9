"""The continuous map from the zoomed image to its source, which is the same for pixels, points, boxes and masks.

Coordinates of the zoomed image are in its pixels, with centres at 0.5, 1.5, ...: (0, 0, width, height) is all of it.
Between the centres the map is bilinear in each cell of four. Beyond the outermost centres, each coordinate continues with
its last step along its own axis (at least a millionth of a uniform step), and stays constant along the other axis:
linearly, and without a fold at the corners.

So one more node on every side describes it completely. Node (i, j) of :func:`warp_nodes` is at (j - 0.5, i - 0.5).
"""

import torch
from jaxtyping import Float, Real
from torch import Tensor

from foveal.sampler.frames import Views, check_tensor, compose, inverse
from foveal.sampler.kernels import kernels_for
from foveal.sampler.labels._inverse_ops import fill_nodes_op

# The least step beyond the border, in uniform steps, for grids whose border points coincide.
_LEAST_STEP = 1e-6
# A few roundings of float32: neighbours that coincide may be in the wrong order.
_ROUNDING = 1e-6
# The share of cells from which on a grid has turned over, and the least height and width for which that can be said. A few cells
# of a "kernel" grid may turn over, and where all saliency is at two or three points, half of them, or all if there are only a few.
_TURNED_OVER, _ENOUGH = 0.75, 8

Nodes = Float[Tensor, "batch height_2 width_2 2"]


def warp_nodes(grid: Float[Tensor, "batch height width 2"], views: Views | None = None) -> Nodes:
    """The map's nodes in [-1, 1] of the source: the grid with one more node on every side, in float64.

    Of a grid that was composed with views, which may be mirrored or turned, the nodes in [-1, 1] of the view.

    Raises:
        ValueError: The grid has another shape, no points, or points that are not finite; or it folds back or turns over; or
            there is not one view to a grid, or one is not to be inverted.
    """
    check_shape(grid)
    points = grid.detach().to(torch.promote_types(grid.dtype, torch.float32))
    rounding = points.new_full((len(points), 2), _ROUNDING, dtype=torch.float64)
    if views is not None:
        back = inverse(views)
        points = compose(back, points.double())
        rounding *= back[..., :2].abs().sum(dim=-1).clamp(min=1)  # the magnification of a small view is large
    if kernels_for(points.device, points.dtype) == "numba":
        nodes: Tensor
        nodes, found = fill_nodes_op(points, rounding.amax(dim=1), _LEAST_STEP)
        if bool((found[:, :2] >= -rounding).all()) and not _turned_over(found[:, 2], grid):
            return nodes
    # This is slower, and raises an error that says what is wrong with the grid.
    check_grid(grid)
    return plain_nodes(points.double(), rounding)


def plain_nodes(points: Float[Tensor, "batch height width 2"], rounding: Float[Tensor, "batch 2"]) -> Nodes:
    """Do the same as :func:`warp_nodes` for points in float64, in plain torch: the reference for the CPU's kernel."""
    _check_order(points, rounding)
    _check_turn(points, rounding.amax(dim=1))
    x, y = points.unbind(dim=-1)
    x, y = x.cummax(dim=2).values, y.cummax(dim=1).values
    # Across the axis the border is repeated, along the axis the last step is.
    x = torch.cat([x[:, :1], x, x[:, -1:]], dim=1)
    y = torch.cat([y[:, :, :1], y, y[:, :, -1:]], dim=2)
    return torch.stack([_run_on(x), _run_on(y.mT).mT], dim=-1)


def ascending_axis(points: Float[Tensor, "batch points"]) -> Float[Tensor, "batch points_2"] | None:
    """Return the nodes of one axis of a separable map, in float64, if its points are finite and ascend."""
    if not bool(points.isfinite().all() and (points.diff(dim=1) >= 0).all()):
        return None
    return _run_on(points[:, None])[:, 0]


def to_source(nodes: Nodes, points: Float[Tensor, "batch points 2"]) -> Float[Tensor, "batch points 2"]:
    """Where points (x, y) of the zoomed image, in its pixels, lie in [-1, 1] of the source. Differentiable in the points."""
    _, rows, cols, _ = nodes.shape
    at = points.double() + 0.5
    last = torch.tensor([cols - 2, rows - 2], device=at.device)
    cell = at.detach().floor().clamp(min=torch.zeros_like(last), max=last).long()
    u, v = (at - cell).unsqueeze(-2).unbind(dim=-1)
    upper_left, upper_right, lower_left, lower_right = corners(nodes, cell[..., 1], cell[..., 0])
    top = upper_left + u * (upper_right - upper_left)
    bottom = lower_left + u * (lower_right - lower_left)
    found: Tensor = top + v * (bottom - top)
    return found


def corners(
    nodes: Nodes, row: Tensor, col: Tensor
) -> tuple[
    Float[Tensor, "batch *cells 2"],
    Float[Tensor, "batch *cells 2"],
    Float[Tensor, "batch *cells 2"],
    Float[Tensor, "batch *cells 2"],
]:
    """The nodes around cells (row, col): upper left, upper right, lower left, lower right."""
    flat, cols = nodes.flatten(1, 2), nodes.shape[2]
    first = (row * cols + col).flatten(1)
    index = first[..., None].expand(-1, -1, 2)
    upper_left, upper_right, lower_left, lower_right = (
        flat.gather(1, index + offset).view(*row.shape, 2) for offset in (0, 1, cols, cols + 1)
    )
    return upper_left, upper_right, lower_left, lower_right


def _run_on(lines: Float[Tensor, "batch lines points"]) -> Float[Tensor, "batch lines points_2"]:
    """One more value at both ends of each line, a step further."""
    uniform = 2 / lines.shape[2]
    if lines.shape[2] > 1:
        steps = lines.diff(dim=2).clamp(min=_LEAST_STEP * uniform)
    else:
        steps = torch.full_like(lines, uniform)  # a single point represents the whole side
    return torch.cat([lines[..., :1] - steps[..., :1], lines, lines[..., -1:] + steps[..., -1:]], dim=2)


def check_grid(grid: Float[Tensor, "batch height width 2"]) -> None:
    """Raise if a grid is invalid.

    Raises:
        ValueError: The grid has another shape, no points, or points that are not finite.
    """
    check_shape(grid)
    if not bool(grid.isfinite().all()):
        raise ValueError(f"grid must be finite, got {grid[~grid.isfinite()][0].item()!r}.")


def check_shape(grid: Float[Tensor, "batch height width 2"]) -> None:
    """Raise if a tensor does not have the shape of a grid.

    Raises:
        ValueError: The grid has another shape, or no points.
        TypeError: It is no tensor.
    """
    check_tensor(grid, "grid")
    if grid.ndim != 4 or grid.shape[3] != 2 or 0 in grid.shape[1:]:
        raise ValueError(f"grid must be (batch, height, width, 2), got shape {tuple(grid.shape)!r}.")


def _check_order(grid: Float[Tensor, "batch height width 2"], rounding: Float[Tensor, "batch 2"]) -> None:
    for axis, dim in (("x", 2), ("y", 1)):
        steps = grid[..., 2 - dim].diff(dim=dim)
        if bool((steps < -rounding[:, 2 - dim, None, None]).any()):
            raise ValueError(
                f"grid must not fold, got a step of {steps.min().item():.3g} in {axis}: "
                "x has to grow along the width, and y along the height; pass the views that it was composed with."
            )


def _check_turn(grid: Float[Tensor, "batch height width 2"], rounding: Float[Tensor, " batch"]) -> None:
    down, up = grid[:, 1:, 1:] - grid[:, :-1, :-1], grid[:, :-1, 1:] - grid[:, 1:, :-1]
    area = down[..., 1] * up[..., 0] - down[..., 0] * up[..., 1]
    noise = rounding[:, None, None] * (down.abs() + up.abs()).sum(dim=-1)
    cells = (area < -noise).sum(dim=(1, 2))
    if _turned_over(cells, grid):
        raise ValueError(
            f"grid must not turn over, got {int(cells.max())} of {area[0].numel()} cells mirrored: x has to grow along the width "
            "more than along the height, or y along the height more than along the width – are the two exchanged?"
        )


def _turned_over(cells: Real[Tensor, " batch"], grid: Float[Tensor, "batch height width 2"]) -> bool:
    """Return whether one of some grids has turned over, given how many cells of each have."""
    height, width = grid.shape[1:3]
    share = _TURNED_OVER * (height - 1) * (width - 1)
    return min(height, width) >= _ENOUGH and bool((cells > share).any())
