"""Computes where points of the source lie in the zoomed image: the inverse of :mod:`foveal.sampler.labels._warp_map`.

Along each row of nodes x grows, so a first search along the row finds where it passes through a given x. Along the line
of this x, y grows from row to row, so a second search finds the two rows between which a given y lies. Between two rows
the line may pass through several cells; a third search finds the cell. In the cell, the bilinear map is inverted in
closed form. Every search brackets its result, so there always is one, even if cells have shrunk to nothing. Everything is
in float64: in float32 the quadratic equation would be off by pixels.

Coordinates in here count nodes: node k along an axis is k, pixel k's centre is k + 1.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from foveal.sampler.kernels import kernels_for
from foveal.sampler.labels._inverse_ops import find_places_op
from foveal.sampler.labels._warp_map import Nodes, corners

# Number of points that are computed at a time, so that intermediate results stay in the processor's cache.
_AT_ONCE = 1 << 17


@torch.no_grad()
def to_output(
    nodes: Nodes, x: Float[Tensor, "batch lines"], y: Float[Tensor, "batch lines points"]
) -> Float[Tensor, "batch lines points 2"]:
    """Where the points (x[b, p], y[b, p, q]) of the source in [-1, 1] lie in the zoomed image, (x, y) in its pixels.

    Points that share their x are on one line: most of the work is done once for each line.
    """
    if is_outer(nodes):
        across, down = along_axis(nodes[:, 0, :, 0], x), along_axis(nodes[:, :, 0, 1], y.flatten(1))
        return torch.stack([across[..., None].expand(y.shape), down.view(y.shape)], dim=-1)
    if kernels_for(nodes.device, nodes.dtype) == "numba":
        places: Tensor = find_places_op(nodes, x, y)
        return places - 0.5
    return plain_to_output(nodes, x, y)


def plain_to_output(
    nodes: Nodes, x: Float[Tensor, "batch lines"], y: Float[Tensor, "batch lines points"]
) -> Float[Tensor, "batch lines points 2"]:
    """Do the same in plain torch, for any map: the reference for the CPU's kernel."""
    lines = max(1, _AT_ONCE // max(1, y.shape[0] * max(y.shape[2], nodes.shape[1])))
    parts = zip(torch.split(x, lines, dim=1), torch.split(y, lines, dim=1), strict=True)
    return torch.cat([_to_output(nodes, *part) for part in parts], dim=1)


def along_axis(
    nodes: Float[Tensor, "batch nodes_2"], wanted: Float[Tensor, "batch points"]
) -> Float[Tensor, "batch points"]:
    """Where the points of the source lie along one axis of a separable map, in pixels of the zoomed image."""
    place, _, _ = rows_at(torch.stack([nodes, nodes], dim=-1)[:, None], wanted)
    return place[:, 0] - 0.5


def rows_at(
    nodes: Nodes, x: Float[Tensor, "batch lines"]
) -> tuple[
    Float[Tensor, "batch height_2 lines"],
    Float[Tensor, "batch height_2 lines"],
    Int[Tensor, "batch height_2 lines"],
]:
    """Return where each row of nodes passes through each x: the column, the y of the source, and the cell."""
    along, other = (plane.contiguous() for plane in nodes.unbind(dim=-1))
    wanted = x[:, None].expand(-1, nodes.shape[1], -1).contiguous()
    # With `right`, a chosen inner cell has a width; the outermost always have one.
    cell = torch.searchsorted(along[..., 1:-1].contiguous(), wanted, right=True)
    left = along.gather(2, cell)
    u = (wanted - left) / (along.gather(2, cell + 1) - left)
    above = other.gather(2, cell)
    return cell + u, above + u * (other.gather(2, cell + 1) - above), cell


def _to_output(
    nodes: Nodes, x: Float[Tensor, "batch lines"], y: Float[Tensor, "batch lines points"]
) -> Float[Tensor, "batch lines points 2"]:
    _, passes, cell = (table.mT.contiguous() for table in rows_at(nodes, x))
    row = torch.searchsorted(passes[..., 1:-1].cummax(dim=2).values, y.contiguous(), right=True)
    x = x[..., None].expand(y.shape)
    col = _column(nodes, (x, y), row, (cell.gather(2, row), cell.gather(2, row + 1)))
    upper_left, upper_right, lower_left, lower_right = corners(nodes, row, col)
    right, down = upper_right - upper_left, lower_left - upper_left
    twist = lower_right - lower_left - right
    off = torch.stack([x, y], dim=-1) - upper_left
    v = _within(_root(right, down, twist, off), row, nodes.shape[1] - 2)
    width = right[..., 0] + v * twist[..., 0]
    # A cell without width is only passed through at a point.
    u = torch.where(width > 0, (off[..., 0] - v * down[..., 0]) / width, 0.5)
    return torch.stack([col + _within(u, col, nodes.shape[2] - 2), row + v], dim=-1) - 0.5


def _column(
    nodes: Nodes,
    point: tuple[Tensor, Tensor],
    row: Int[Tensor, "batch lines points"],
    ends: tuple[Int[Tensor, "batch lines points"], Int[Tensor, "batch lines points"]],
) -> Int[Tensor, "batch lines points"]:
    """Return the cell between two rows in which a line is at y; it enters by one of ``ends`` and leaves by the other.

    Between two rows it crosses each column between its ends once, each time with a larger y, so the crossings are counted
    by bisection.
    """
    first, last = ends
    x, y = point
    nodes_x, nodes_y = (plane.flatten(1) for plane in nodes.unbind(dim=-1))
    cols, rightward = nodes.shape[2], (last > first).long()
    passed, at_most = torch.zeros_like(first), (last - first).abs()
    while bool((passed < at_most).any()):
        middle = (passed + at_most) // 2
        column = torch.where(rightward > 0, (first + 1 + middle).clamp(max=cols - 1), first - middle)
        at = row * cols + column.clamp(min=0)
        top_x, top_y = _take(nodes_x, at), _take(nodes_y, at)
        share = (x - top_x) / (_take(nodes_x, at + cols) - top_x)
        before = top_y + share * (_take(nodes_y, at + cols) - top_y) <= y
        open_still = passed < at_most
        passed = torch.where(open_still & before, middle + 1, passed)
        at_most = torch.where(open_still & ~before, middle, at_most)
    return first + (2 * rightward - 1) * passed


def _take(
    plane: Float[Tensor, "batch _nodes"], at: Int[Tensor, "batch lines points"]
) -> Float[Tensor, "batch lines points"]:
    return plane.gather(1, at.flatten(1)).view(at.shape)


def _root(
    right: Float[Tensor, "*cells 2"],
    down: Float[Tensor, "*cells 2"],
    twist: Float[Tensor, "*cells 2"],
    off: Float[Tensor, "*cells 2"],
) -> Float[Tensor, "*cells"]:
    """The v for which ``off = u right + v down + u v twist`` has a solution: k2 v^2 + k1 v + k0 = 0.

    Its derivative there is the map's Jacobian determinant, so the right root is the one at which it is positive.
    """
    k2, k1, k0 = _cross(twist, down), _cross(right, down) + _cross(off, twist), _cross(off, right)
    root = (k1.square() - 4 * k2 * k0).clamp(min=0).sqrt()
    above, below = torch.where(k1 > 0, -2 * k0, root - k1), torch.where(k1 > 0, k1 + root, 2 * k2)
    return torch.where(below == 0, 0.5, above / below)


def _within(
    share: Float[Tensor, "*cells"], cell: Int[Tensor, "*cells"], last: int
) -> Float[Tensor, "*cells"]:
    """Clamp a share to its cell, except in the outermost cells, which extend outwards."""
    share = torch.where(cell > 0, share.clamp(min=0), share)
    return torch.where(cell < last, share.clamp(max=1), share)


def _cross(a: Float[Tensor, "*cells 2"], b: Float[Tensor, "*cells 2"]) -> Float[Tensor, "*cells"]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def is_outer(points: Float[Tensor, "batch height width 2"]) -> bool:
    """Whether all rows of points have the same x, and all columns the same y."""
    x, y = points.unbind(dim=-1)
    # For most grids, a few rows and columns already show that they are not.
    some = x[:, :: max(1, x.shape[1] // 2)], y[:, :, :: max(1, y.shape[2] // 2)]
    return all(
        bool((along == along[:, :1]).all() and (down == down[:, :, :1]).all())
        for along, down in (some, (x, y))
    )
