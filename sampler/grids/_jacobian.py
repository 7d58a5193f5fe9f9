"""The Jacobian of a grid, in uniform steps: its extreme singular values, and how much of the grid is within given bounds.

A grid is bilinear between four neighbouring points. One column of its Jacobian is an average of the two steps along the rows,
the other an average of the two steps along the columns. The extremes are at the cell's four corners, where each column is one
of those steps.

A "kernel" grid is interpolated from nodes, so from pixel to pixel it is linear except next to a line of nodes. There both
columns of the Jacobian move along line segments. With one column fixed, the values of the other that are within a bound form
a convex set: for the least singular value the inside of one branch of a hyperbola, for the largest a sublevel set. If both
ends of a segment are within the bound, so is what lies between them. Hence only pixels next to lines of nodes are examined.
"""

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from foveal.sampler.frames import constant, interpolation, is_transformed
from foveal.sampler.grids._kept import TINY, Bounds, corners_of, invariants, kept_of
from foveal.sampler.grids._tightest import tightest

Weights = tuple[Float[Tensor, "_height _rows"], Float[Tensor, "_width _cols"]]
"""The weights of the nodes at some rows and at some columns of pixels, ascending."""

Cells = tuple[Int[Tensor, " _rows"], Int[Tensor, " _cols"]]
"""Indices of the rows and the columns at which cells of four points begin."""


def places_to_examine(
    nodes: tuple[int, int], out_size: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> tuple[Weights, Cells]:
    """Return the weights of the nodes at the rows and columns of pixels that have to be examined, and at which of them cells begin.

    These are the pixels next to a line of nodes, and their neighbours.
    """
    down, across = zip(nodes, out_size, strict=True)
    weights = _read_there(*down, dtype, device), _read_there(*across, dtype, device)
    return weights, (_beginnings(*down, device), _beginnings(*across, device))


def most_kept(
    points: Float[Tensor, "batch rows cols 2"], cells: Cells, out_size: tuple[int, int], bounds: Bounds
) -> Float[Tensor, " batch"]:
    """Return the largest r in [0, 1] for which r times a grid plus 1 - r times the identity is within the bounds.

    One place of each grid decides this, so the gradient of the result is that of this place.

    Args:
        points: The grid, in [-1, 1], at some rows and columns.
        cells: Indices among these rows and columns at which cells begin: the next index belongs to the next pixel.
        out_size: Rows and columns of the whole grid.
        bounds: The shortest and the longest step that are allowed.
    """
    scale = out_size[1] / 2, out_size[0] / 2
    place, least = tightest(points.detach(), cells, scale, bounds)
    if not (torch.is_grad_enabled() and points.requires_grad) and not is_transformed(points):
        return least.clamp(max=1)
    corner, row, col = place.unbind(dim=1)
    row, col, width = cells[0][row], cells[1][col], points.shape[2]
    # The step to the right is in the corner's row, the step down in its column.
    left, upper = (row + corner // 2) * width + col, row * width + col + corner % 2
    ends = torch.stack([left, left + 1, upper, upper + width], dim=1)
    there = points.flatten(1, 2).gather(1, ends[..., None].expand(-1, -1, 2))
    (xx, yx), (xy, yy) = (
        ((there[:, k + 1] - there[:, k]) * there.new_tensor(scale)).unbind(dim=1) for k in (0, 2)
    )
    return kept_of((xx, yx, xy, yy), bounds).clamp(max=1)


def singular_extremes(
    grid: Float[Tensor, "batch height width 2"],
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Return the least and the largest singular value of each lattice of nodes, whose outermost nodes are on the image's edges.

    The least is negative if the lattice folds.
    """
    planes = grid.movedim(-1, 0)
    upper, lower = planes[:, :, :-1], planes[:, :, 1:]
    cells = upper[..., :-1], upper[..., 1:], lower[..., :-1], lower[..., 1:]
    least, most = [], []
    for parts in corners_of(cells, (2 / (grid.shape[2] - 1), 2 / (grid.shape[1] - 1))):
        trace, _, skew, q = invariants(parts)
        p = torch.sqrt((trace.square() + skew.square()).clamp(min=TINY))
        least.append((p - q).amin(dim=(1, 2)) / 2)
        most.append((p + q).amax(dim=(1, 2)) / 2)
    return torch.stack(least).amin(dim=0), torch.stack(most).amax(dim=0)


@constant
def _read_there(
    nodes: int, pixels: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "examined nodes"]:
    return interpolation(nodes, pixels, dtype, device)[_examined_indices(nodes, pixels)]


@constant
def _beginnings(nodes: int, pixels: int, device: torch.device) -> Int[Tensor, " cells"]:
    """Return the indices, among the pixels to examine, of those after which the next pixel is examined, too."""
    steps = itertools.pairwise(_examined_indices(nodes, pixels))
    return torch.tensor([k for k, (a, b) in enumerate(steps) if b == a + 1], device=device)


def _examined_indices(nodes: int, pixels: int) -> list[int]:
    """Return the pixels of all pairs (k, k + 1) with a line of nodes between them, and of the pairs next to those."""
    # Computed in integers, so that torch.compile can fold it: the number of pixels is a shape.
    place = [(2 * k + 1) * (nodes - 1) // (2 * pixels) for k in range(pixels)]
    # The ends of the image count as lines.
    across = [True, *(a < b for a, b in itertools.pairwise(place)), True]
    pairs = [k for k in range(pixels - 1) if any(across[k : k + 3])]
    return sorted({*pairs, *(k + 1 for k in pairs)})
