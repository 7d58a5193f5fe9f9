"""The Jacobian of a grid in uniform steps: where it is extreme, and what of the grid keeps within bounds.

Between four neighbouring points a grid is bilinear, so its Jacobian has a column from one of two steps along the rows and
one from one of two steps along the columns: four corners, at which the extremes lie.

Where a grid is linear from pixel to pixel, between two lines of the nodes that it is read from, both columns of the
Jacobian lie on segments. With one column fixed, the other columns that keep within a bound are a convex set (of the least
singular value one branch of a hyperbola's inside, of the largest a sublevel set), so that pixels in the middle of nodes need no look.
"""

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from foveal.sampler.frames import constant
from foveal.sampler.grids._kept import TINY, Bounds, corners_of, invariants, kept_of
from foveal.sampler.grids._tightest import tightest

Pixels = tuple[Int[Tensor, " _height"], Int[Tensor, " _width"]]
"""Numbers of rows and of columns of pixels, ascending."""

Cells = tuple[Int[Tensor, " _rows"], Int[Tensor, " _cols"]]
"""Numbers of rows and columns at which cells of four points begin."""


def telling(nodes: tuple[int, int], out_size: tuple[int, int], device: torch.device) -> tuple[Pixels, Cells]:
    """Return the rows and columns of pixels that tell of all, and which of them begin cells.

    They are those next to a line of the nodes, and their neighbours.
    """
    down, across = zip(nodes, out_size, strict=True)
    pixels = _telling(*down, device), _telling(*across, device)
    return pixels, (_beginnings(*down, device), _beginnings(*across, device))


def most_kept(
    points: Float[Tensor, "batch rows cols 2"], cells: Cells, out_size: tuple[int, int], bounds: Bounds
) -> Float[Tensor, " batch"]:
    """Return the largest r in [0, 1] for which r times a grid plus 1 - r times the identity keeps within bounds.

    The tightest place alone decides, has a gradient, and is differentiated.

    Args:
        points: The grid, in [-1, 1], at some rows and columns.
        cells: Which of those the next pixel follows.
        out_size: Rows and columns of all of the grid.
        bounds: The shortest and the longest step.
    """
    scale = out_size[1] / 2, out_size[0] / 2
    corner, row, col = tightest(points.detach(), cells, scale, bounds).unbind(dim=1)
    row, col, width = cells[0][row], cells[1][col], points.shape[2]
    # The step across lies in the corner's row, the step down in its column.
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
    """Return the least and the largest singular value of each lattice of nodes, the outermost of which are the edges.

    The least is negative where the lattice folds.
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
def _telling(nodes: int, pixels: int, device: torch.device) -> Int[Tensor, " pixels"]:
    return torch.tensor(_telling_pixels(nodes, pixels), device=device)


@constant
def _beginnings(nodes: int, pixels: int, device: torch.device) -> Int[Tensor, " cells"]:
    """Return the numbers of those of the telling pixels that the next pixel follows."""
    steps = itertools.pairwise(_telling_pixels(nodes, pixels))
    return torch.tensor([k for k, (a, b) in enumerate(steps) if b == a + 1], device=device)


def _telling_pixels(nodes: int, pixels: int) -> list[int]:
    """Return the pixels of all pairs of neighbours (k, k + 1) that lie across a line of nodes, or next to a pair that does."""
    # In whole numbers, which a compiler can fold: their count is a shape.
    place = [(2 * k + 1) * (nodes - 1) // (2 * pixels) for k in range(pixels)]
    # The ends of the image count as lines.
    across = [True, *(a < b for a, b in itertools.pairwise(place)), True]
    pairs = [k for k in range(pixels - 1) if any(across[k : k + 3])]
    return sorted({*pairs, *(k + 1 for k in pairs)})
