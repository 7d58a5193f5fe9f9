"""Kernels of the inverse of a grid: the nodes of its continuous map, and the positions of points among them.

Both do the same steps as ``sampler/labels/_warp_map.py`` and ``_inverse_map.py`` in plain torch, in float64, without
their passes over memory. Coordinates of positions count nodes, as there.
"""

# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
import math
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels.cpu._compiled import compiled

Reals = NDArray[np.float64]


@compiled
@no_type_check
def fill_nodes(grid: Reals, nodes: Reals, steps: tuple[float, float], found: Reals) -> None:
    """Fill ``nodes`` (height + 2, width + 2, 2) from one grid (height, width, 2): ascending, and one more on every side.

    ``steps`` are the least step beyond the border, and the rounding of the grid's numbers. ``found`` receives the least step
    along x and along y, NaN if a point is not finite, and how many cells turn over.
    """
    height, width, _ = grid.shape
    least_step, rounding = steps
    least_x, least_y, sound, turned = math.inf, math.inf, 0.0, 0
    for i in range(height):
        for j in range(width):
            x, y = np.float64(grid[i, j, 0]), np.float64(grid[i, j, 1])
            sound += (x - x) + (y - y)
            if j > 0:
                least_x = min(least_x, x - np.float64(grid[i, j - 1, 0]))
                x = max(x, nodes[i + 1, j, 0])
            if i > 0:
                least_y = min(least_y, y - np.float64(grid[i - 1, j, 1]))
                y = max(y, nodes[i, j + 1, 1])
            nodes[i + 1, j + 1, 0], nodes[i + 1, j + 1, 1] = x, y
            if i > 0 and j > 0 and _turns_over(grid, (i, j), rounding):
                turned += 1
    found[0], found[1], found[2] = least_x + sound, least_y + sound, turned
    uniform_x, uniform_y = 2 / width, 2 / height
    for i in range(1, height + 1):
        first = last = uniform_x
        if width > 1:
            first = max(nodes[i, 2, 0] - nodes[i, 1, 0], least_step * uniform_x)
            last = max(nodes[i, width, 0] - nodes[i, width - 1, 0], least_step * uniform_x)
        nodes[i, 0, 0], nodes[i, width + 1, 0] = nodes[i, 1, 0] - first, nodes[i, width, 0] + last
        nodes[i, 0, 1], nodes[i, width + 1, 1] = nodes[i, 1, 1], nodes[i, width, 1]
    for j in range(width + 2):
        first = last = uniform_y
        if height > 1:
            first = max(nodes[2, j, 1] - nodes[1, j, 1], least_step * uniform_y)
            last = max(nodes[height, j, 1] - nodes[height - 1, j, 1], least_step * uniform_y)
        nodes[0, j, 1], nodes[height + 1, j, 1] = nodes[1, j, 1] - first, nodes[height, j, 1] + last
        nodes[0, j, 0], nodes[height + 1, j, 0] = nodes[1, j, 0], nodes[height, j, 0]


@compiled
@no_type_check
def _turns_over(grid: Reals, corner: tuple[int, int], rounding: float) -> bool:
    """Return whether the cell with this lower right corner is mirrored: the area between its two diagonals is negative."""
    i, j = corner
    down_x, down_y = grid[i, j, 0] - grid[i - 1, j - 1, 0], grid[i, j, 1] - grid[i - 1, j - 1, 1]
    up_x, up_y = grid[i - 1, j, 0] - grid[i, j - 1, 0], grid[i - 1, j, 1] - grid[i, j - 1, 1]
    area = np.float64(down_y) * np.float64(up_x) - np.float64(down_x) * np.float64(up_y)
    return area < -rounding * (abs(down_x) + abs(down_y) + abs(up_x) + abs(up_y))


@compiled
@no_type_check
def find_places(nodes: Reals, x: Reals, y: Reals, places: Reals, lines: tuple[int, int]) -> None:
    """Fill ``places`` (lines, points, 2) with the positions of the points (x[line], y[line, point]), for lines [first, last).

    Each search begins where the last one ended, and lines are processed in the order of memory, in which neighbours
    follow each other.
    """
    first, last = lines
    start = (0, 0)
    for q in range(y.shape[1]):
        at = start
        for line in range(first, last):
            point = x[line], y[line, q]
            at = _row_above(nodes, point, at)
            row, cell = at
            col = _column_of(nodes, point, row, (cell, _cell_of(nodes, row + 1, point[0], cell)))
            _place_in(nodes, point, (row, col), places[line, q])
            if line == first:
                start = at


@compiled
@no_type_check
def _row_above(nodes: Reals, point: tuple[float, float], start: tuple[int, int]) -> tuple[int, int]:
    """Return the last inner row that the line of x passes at y or before, or else the first, and the cell in it.

    The search starts at a row, doubles its steps, and bisects the last one.
    """
    (x, y), (row, cell) = point, start
    low, high, step = 0, nodes.shape[0] - 1, 1
    cell = _cell_of(nodes, row, x, cell)
    if row == 0 or _passes(nodes, row, x, cell) <= y:
        low = row
        while low + step < high:
            cell = _cell_of(nodes, low + step, x, cell)
            if _passes(nodes, low + step, x, cell) <= y:
                low, step = low + step, 2 * step
            else:
                high = low + step
    else:
        high = row
        while low < high - step:
            cell = _cell_of(nodes, high - step, x, cell)
            if _passes(nodes, high - step, x, cell) <= y:
                low = high - step
            else:
                high, step = high - step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        cell = _cell_of(nodes, middle, x, cell)
        if _passes(nodes, middle, x, cell) <= y:
            low = middle
        else:
            high = middle
    return low, _cell_of(nodes, low, x, cell)


@compiled
@no_type_check
def _cell_of(nodes: Reals, row: int, x: float, cell: int) -> int:
    """Return the cell in which a row passes through x, searching from a given cell. The cell has a width, unless it is an outermost one."""
    last = nodes.shape[1] - 2
    while cell < last and nodes[row, cell + 1, 0] <= x:
        cell += 1
    while cell > 0 and nodes[row, cell, 0] > x:
        cell -= 1
    return cell


@compiled
@no_type_check
def _passes(nodes: Reals, row: int, x: float, cell: int) -> float:
    """Return the y of the source at which a row passes through x in this cell."""
    left, right = nodes[row, cell], nodes[row, cell + 1]
    return left[1] + (x - left[0]) / (right[0] - left[0]) * (right[1] - left[1])


@compiled
@no_type_check
def _column_of(nodes: Reals, point: tuple[float, float], row: int, ends: tuple[int, int]) -> int:
    """Return the cell between two rows in which the line is at y: see `_column` in plain torch."""
    (x, y), (first, last) = point, ends
    ahead = 1 if last > first else -1
    low, high = 0, abs(last - first)
    while low < high:
        middle = (low + high) // 2
        column = first + 1 + middle if ahead > 0 else first - middle
        top, bottom = nodes[row, column], nodes[row + 1, column]
        share = (x - top[0]) / (bottom[0] - top[0])
        if top[1] + share * (bottom[1] - top[1]) <= y:
            low = middle + 1
        else:
            high = middle
    return first + ahead * low


@compiled
@no_type_check
def _place_in(nodes: Reals, point: tuple[float, float], cell: tuple[int, int], place: Reals) -> None:
    """Invert the bilinear map of one cell."""
    (x, y), (row, col) = point, cell
    rows, cols, _ = nodes.shape
    corner_x, corner_y = nodes[row, col, 0], nodes[row, col, 1]
    right_x, right_y = nodes[row, col + 1, 0] - corner_x, nodes[row, col + 1, 1] - corner_y
    down_x, down_y = nodes[row + 1, col, 0] - corner_x, nodes[row + 1, col, 1] - corner_y
    twist_x = nodes[row + 1, col + 1, 0] - nodes[row + 1, col, 0] - right_x
    twist_y = nodes[row + 1, col + 1, 1] - nodes[row + 1, col, 1] - right_y
    off_x, off_y = x - corner_x, y - corner_y
    k2 = twist_x * down_y - twist_y * down_x
    k1 = right_x * down_y - right_y * down_x + off_x * twist_y - off_y * twist_x
    k0 = off_x * right_y - off_y * right_x
    root = math.sqrt(max(k1 * k1 - 4 * k2 * k0, 0.0))
    above, below = (-2 * k0, k1 + root) if k1 > 0 else (root - k1, 2 * k2)
    v = _within(above / below if below != 0 else 0.5, row, rows - 2)
    width = right_x + v * twist_x
    u = _within((off_x - v * down_x) / width if width > 0 else 0.5, col, cols - 2)
    place[0], place[1] = col + u, row + v


@compiled
@no_type_check
def _within(share: float, cell: int, last: int) -> float:
    """Clamp a share to its cell, except in the outermost cells, which extend outwards."""
    if cell > 0 and share < 0:
        return 0.0
    if cell < last and share > 1:
        return 1.0
    return share
