"""The Jacobian of a grid in uniform steps, and what of it keeps within bounds when it is blended with the identity.

Between four neighbouring points a grid is bilinear, so its Jacobian has a column from one of two steps along the rows and
one from one of two steps along the columns: four corners, at which the extremes lie. A 2 x 2 matrix of trace T, determinant
D, skew K (the difference of its two off-diagonal entries) and

    Q = hypot(difference of its diagonal entries, sum of its off-diagonal entries)

has the singular values ``(P - Q) / 2`` and ``(P + Q) / 2`` with ``P = hypot(T, K)``. Of ``r J + (1 - r) I`` the trace is
``2 + r (T - 2)``, and K and Q are r times what they were. So ``(P - Q) / 2 >= s`` is

    r^2 (D - T + 1) + r (T - 2 - s Q) + 1 - s^2 >= 0,

and ``(P + Q) / 2 <= l`` is the same with -l for s, and <=. The smallest positive root is how much of the grid may be kept.

Where a grid is linear from pixel to pixel, between two lines of the nodes that it is read from, both columns of the
Jacobian lie on segments. With one column fixed, the other columns that keep within a bound are a convex set (of the least
singular value one branch of a hyperbola's inside, of the largest a sublevel set), so that pixels in the middle of nodes need no look.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import constant

Cells = tuple[Tensor, Tensor, Tensor, Tensor]
"""Four neighbouring points (2, ...) of each cell: upper left, upper right, lower left, lower right."""

Parts = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of Jacobians: x by column, y by column, x by row, y by row."""

_TINY = 1e-30  # of squares: below it there is nothing to differentiate


def most_kept(
    grid: Float[Tensor, "batch height width 2"],
    nodes: tuple[int, int],
    *,
    shortest: float | None,
    longest: float | None,
) -> Float[Tensor, " batch"]:
    """Return the largest r in [0, 1] for which r times the grid plus 1 - r times the identity keeps within bounds.

    Args:
        grid: In [-1, 1]. Of a single row or column, which has no cell of four points, all may be kept.
        nodes: Rows and columns of the lattice that the grid was read from.
        shortest: The least that a singular value may be, at most 1; None for no bound.
        longest: The most that one may be, at least 1; None for no bound.
    """
    batch, height, width, _ = grid.shape
    if min(height, width) < 2:
        return grid.new_ones(batch)
    rows, cols = (_telling(n, pixels, grid.device) for n, pixels in zip(nodes, (height, width), strict=True))
    step = 2 / width, 2 / height
    with torch.no_grad():
        planes = grid.movedim(-1, 0)
        upper, lower = planes.index_select(2, rows), planes.index_select(2, rows + 1)
        left, right = ([half.index_select(3, at) for half in (upper, lower)] for at in (cols, cols + 1))
        cells = left[0], right[0], left[1], right[1]
        kept = torch.stack([_kept(each, shortest, longest) for each in _corners(cells, step)], dim=1)
        worst = kept.flatten(1).argmin(dim=1)
    # The worst place alone has a gradient, and alone is differentiated.
    corner, cell = worst // (len(rows) * len(cols)), worst % (len(rows) * len(cols))
    row, col = rows[cell // len(cols)], cols[cell % len(cols)]
    each = torch.arange(batch, device=grid.device)
    points = [grid[each, row + i, col + j].T for i in (0, 1) for j in (0, 1)]
    there = points[0], points[1], points[2], points[3]
    at_corners = torch.stack([_kept(parts, shortest, longest) for parts in _corners(there, step)], dim=1)
    return at_corners.gather(1, corner[:, None])[:, 0].clamp(max=1)


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
    for parts in _corners(cells, (2 / (grid.shape[2] - 1), 2 / (grid.shape[1] - 1))):
        trace, _, skew, q = _invariants(parts)
        p = torch.sqrt((trace.square() + skew.square()).clamp(min=_TINY))
        least.append((p - q).amin(dim=(1, 2)) / 2)
        most.append((p + q).amax(dim=(1, 2)) / 2)
    return torch.stack(least).amin(dim=0), torch.stack(most).amax(dim=0)


def _corners(cells: Cells, step: tuple[float, float]) -> tuple[Parts, Parts, Parts, Parts]:
    """Return the Jacobians at the corners of cells, in steps of this (x, y)."""
    upper_left, upper_right, lower_left, lower_right = cells
    across, down = (
        [(b[0] - a[0], b[1] - a[1]) for a, b in ends]
        for ends in (
            ((upper_left, upper_right), (lower_left, lower_right)),
            ((upper_left, lower_left), (upper_right, lower_right)),
        )
    )
    (top, bottom), (left, right) = ([(x / step[0], y / step[1]) for x, y in each] for each in (across, down))
    return (*top, *left), (*top, *right), (*bottom, *left), (*bottom, *right)


def _invariants(parts: Parts) -> Parts:
    """Return trace, determinant, skew and Q."""
    xx, yx, xy, yy = parts
    q = torch.sqrt(((xx - yy).square() + (xy + yx).square()).clamp(min=_TINY))
    return xx + yy, xx * yy - xy * yx, xy - yx, q


def _kept(parts: Parts, shortest: float | None, longest: float | None) -> Tensor:
    trace, determinant, _, q = _invariants(parts)
    square = determinant - trace + 1
    kept = torch.full_like(trace, torch.inf)
    if shortest is not None:
        kept = _first_root(square, trace - 2 - shortest * q, 1 - shortest**2)
    if longest is not None:
        kept = torch.minimum(kept, _first_root(-square, 2 - trace - longest * q, longest**2 - 1))
    return kept


def _first_root(a: Tensor, b: Tensor, c: float) -> Tensor:
    """Return the smallest positive root of ``a r^2 + b r + c``, c being at least 0; infinite where there is none."""
    under = b.square() - 4 * a * c
    below = torch.sqrt(under.clamp(min=_TINY)) - b
    there = (under >= 0) & (below > 0)
    return torch.where(there, 2 * c / torch.where(there, below, 1.0), torch.inf)


@constant
def _telling(nodes: int, pixels: int, device: torch.device) -> Tensor:
    """Return which pairs of neighbouring pixels (k, k + 1) lie across a line of nodes, or next to one that does."""
    # In whole numbers, which a compiler can fold: their count is a shape.
    place = [(2 * k + 1) * (nodes - 1) // (2 * pixels) for k in range(pixels)]
    # The ends of the image count as lines.
    across = [True, *(a < b for a, b in itertools.pairwise(place)), True]
    telling = [k for k in range(pixels - 1) if any(across[k : k + 3])]
    return torch.tensor(telling, device=device)
