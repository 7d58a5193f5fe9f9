"""The kernel behind the bounds of a grid: the corner of a cell at which the least of the grid may be kept.

It computes what ``sampler/grids/_jacobian.py`` does in plain torch, row by row and in the grid's precision. Each loop runs over
all cells of a row, so that the compiler makes vector instructions of it.
"""

# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
import math
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels.cpu._compiled import compiled

Reals = NDArray[np.floating]
Places = NDArray[np.int64]


@compiled
@no_type_check
def find_tightest(  # noqa: PLR0917 - as compiled functions take them
    grid: Reals,
    places: tuple[Places, Places],
    steps: tuple[float, float],
    bounds: tuple[float, float],
    singular: bool,
    found: Places,
    kept: Reals,
) -> None:
    """Write (corner, row, col) of the tightest place of a grid (height, width, 2) to ``found``, the latter two as numbers of ``places``, and how much may be kept there to ``kept``.

    ``places`` are the rows and the columns at which cells of four points begin, ``steps`` bring (x, y) to
    uniform steps, ``bounds`` are the shortest and the longest of them, negative for no bound. ``singular`` says whether all directions count, or the axes alone.
    """
    rows, cols = places
    real = grid.dtype.type
    corners = np.empty((8, cols.size), grid.dtype)
    least, where = np.full(cols.size, real(np.inf)), np.zeros(cols.size, np.int32)
    scale = real(steps[0]), real(steps[1])
    for k in range(rows.size):
        _copy_row(grid, rows[k], cols, corners[:4])
        _copy_row(grid, rows[k] + 1, cols, corners[4:])
        for corner in range(4):
            # x of left and right, then y of left and right, of one row; above and below of one column.
            row, side = 4 * (corner // 2), corner % 2
            across = corners[row], corners[row + 1], corners[row + 2], corners[row + 3]
            down = corners[side], corners[4 + side], corners[2 + side], corners[6 + side]
            _keep_least(across, down, scale, bounds, singular, least, where, 4 * k + corner)
    best = 0
    for j in range(cols.size):
        best = j if least[j] < least[best] else best
    found[0], found[1], found[2] = where[best] % 4, where[best] // 4, best
    kept[0] = least[best]


@compiled
@no_type_check
def _copy_row(grid: Reals, row: int, cols: Places, into: Reals) -> None:
    for j in range(cols.size):
        col = cols[j]
        into[0, j], into[1, j] = grid[row, col, 0], grid[row, col + 1, 0]
        into[2, j], into[3, j] = grid[row, col, 1], grid[row, col + 1, 1]


@compiled
@no_type_check
def _keep_least(  # noqa: PLR0917 - as compiled functions take them
    across: tuple[Reals, Reals, Reals, Reals],
    down: tuple[Reals, Reals, Reals, Reals],
    scale: tuple[float, float],
    bounds: tuple[float, float],
    singular: bool,
    least: Reals,
    where: NDArray[np.int32],
    number: int,
) -> None:
    """Note for each column what may be kept, and the place's number, where that is less than in any place before."""
    real = least.dtype.type
    one, two, four, tiny, none = real(1), real(2), real(4), real(1e-30), real(np.inf)
    s, m = real(bounds[0]), real(bounds[1])
    code, short, long = np.int32(number), bounds[0] >= 0, bounds[1] >= 0
    for j in range(least.size):
        xx, yx = (across[1][j] - across[0][j]) * scale[0], (across[3][j] - across[2][j]) * scale[1]
        xy, yy = (down[1][j] - down[0][j]) * scale[0], (down[3][j] - down[2][j]) * scale[1]
        trace, lesser, larger = xx + yy, min(xx, yy), max(xx, yy)
        square = xx * yy - xy * yx - trace + one
        q = math.sqrt(max((xx - yy) * (xx - yy) + (xy + yx) * (xy + yx), tiny))
        kept = none
        if short:
            kept = (one - s) / (one - lesser) if lesser < s else none
            b, c = trace - two - s * q, one - s * s
            under = b * b - four * square * c
            below = math.sqrt(max(under, tiny)) - b
            root = two * c / below if (under >= 0) & (below > 0) & singular else none
            kept = min(kept, root)
        if long:
            root = (m - one) / (larger - one) if larger > m else none
            kept = min(kept, root)
            b, c = two - trace - m * q, m * m - one
            under = b * b + four * square * c
            below = math.sqrt(max(under, tiny)) - b
            root = two * c / below if (under >= 0) & (below > 0) & singular else none
            kept = min(kept, root)
        tighter = kept < least[j]
        least[j] = kept if tighter else least[j]
        where[j] = code if tighter else where[j]
