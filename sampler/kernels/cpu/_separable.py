"""The CPU kernel of means over boxes in rows and columns: anti-aliased `sample` for separable grids, and `lowres`.

All boxes of an output row cover the same source rows. So these rows are first added over the whole width, in vector
registers and at the speed of memory, and the sums are then distributed over the columns. The boxes are the same as in the
kernel for any grid (``_antialias.py``), and the means are equal up to rounding.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays by place
# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels.cpu._compiled import compiled
from foveal.sampler.kernels.cpu._find import find
from foveal.sampler.kernels.cpu._points import put_row
from foveal.sampler.kernels.cpu._vectors import (
    FIVE,
    channel,
    five_pixels,
    get,
    plus,
    plus_times,
    sum_of_five,
)

Pixels = NDArray[np.uint8]
Reals = NDArray[np.floating]
Places = NDArray[np.int64]
Sums = NDArray[np.uint16]
Size = tuple[int, int]
Band = tuple[int, int]  # rows of the output, [first, last)

_MOST = 256  # rows of bytes whose sum fits into 16 bits
_BEYOND = 16  # numbers that may be read after the last pixel of a row
# Rows of `place`: the first pixel of a box along one axis, and the distance to its last pixel.
# Rows of `part`: by how much the first pixel counts less, and the last one; one over the length.


@compiled
@no_type_check
def is_separable(grid: Reals) -> bool:
    """Whether all rows of ``grid`` (H, W, 2) have the same x, and all columns the same y."""
    for i in range(grid.shape[0]):
        same = True
        for j in range(grid.shape[1]):
            same &= (grid[i, j, 0] == grid[0, j, 0]) & (grid[i, j, 1] == grid[i, 0, 1])
        if not same:
            return False
    return True


@compiled
@no_type_check
def lay_boxes(grid: Reals, size: Size, places: Places, parts: Reals) -> None:
    """Find the boxes of a separable ``grid`` (H, W, 2): ``places`` (2, H + W) and ``parts`` (3, H + W), rows before columns."""
    real = parts.dtype.type
    height, width = grid.shape[0], grid.shape[1]
    steps, foot = np.empty((4, width), grid.dtype), np.empty((5, width), grid.dtype)
    find(grid, 0, size, steps, foot)
    for j in range(width):
        _lay(foot[0, j], foot[2, j], size[1], j + height, places, parts)
    line = np.ascontiguousarray(grid[:, :1])
    steps, foot = np.empty((4, 1), grid.dtype), np.empty((5, 1), grid.dtype)
    for i in range(height):
        find(line, i, size, steps, foot)
        down = max(real(1), abs(steps[3, 0]))
        _lay(foot[1, 0], down, size[0], i, places, parts)


@compiled
@no_type_check
def lay_cells(cells: int, length: int, begin: int, places: Places, parts: Reals) -> None:
    """Divide ``length`` pixels into equal ``cells``, written from column ``begin`` of ``places`` and ``parts`` on."""
    real, extent = parts.dtype.type, max(1.0, length / cells)
    for n in range(cells):
        _lay((n + 0.5) * length / cells, extent, length, begin + n, places, parts)
    parts[2, begin : begin + cells] = real(1 / extent)


@compiled
@no_type_check
def _lay(middle: float, extent: float, length: int, n: int, places: Places, parts: Reals) -> None:
    """Write column n of ``places`` and ``parts``. Beyond the border the border pixel is repeated."""
    left = middle - extent / 2
    first = min(max(np.int64(np.floor(left)), 0), length - 1)
    begin = left - first
    last = max(0, min(np.int64(begin + extent), length - 1 - first))
    places[0, n], places[1, n] = first, last
    parts[0, n], parts[1, n], parts[2, n] = -begin, begin + extent - last, 1 / extent


@compiled
@no_type_check
def separable_into(
    image: Pixels,
    places: Places,
    parts: Reals,
    pixels: Reals,
    tone: Reals,
    channels_last: bool,
    height: int,
    rows: Band,
) -> None:
    """Write some rows of ``pixels``, (3, H, W) or (H, W, 3), flat, from ``image`` (h, w, 3), contiguous.

    ``places`` (2, H + W) and ``parts`` (3, H + W): the boxes. ``tone`` (2, 3): factor and summand of each channel.
    """
    real, width = parts.dtype.type, places.shape[1] - height
    flat = image.reshape((image.shape[0], 3 * image.shape[1]))
    begin, end = 3 * flat.shape[1], 0
    for j in range(height, height + width):
        begin, end = min(begin, 3 * places[0, j]), max(end, 3 * (places[0, j] + places[1, j] + 1))
    total, line = np.empty(end - begin, np.uint16), np.zeros(end - begin + _BEYOND, parts.dtype)
    values = np.empty((3, width), parts.dtype)
    for i in range(rows[0], rows[1]):
        first, last = places[0, i], places[1, i]
        line[:] = 0
        for top in range(first, first + last, _MOST):
            _add_rows(flat[:, begin:end], top, min(top + _MOST, first + last), total, line)
        _add_part(flat[first, begin:end], parts[0, i], line)
        _add_part(flat[first + last, begin:end], parts[1, i], line)
        scale = real(1 / 255) * parts[2, i]
        for j in range(width):
            n = j + height
            at, count = 3 * places[0, n] - begin, places[1, n]
            mean = _sum(line, at, count)
            mean = plus_times(mean, parts[0, n], get(line, at))
            mean = plus_times(mean, parts[1, n], get(line, at + 3 * count))
            for c in range(3):
                # Rounding may exceed white.
                values[c, j] = min(real(1), channel(mean, c) * (scale * parts[2, n]))
        put_row(values, tone, pixels, i, height, channels_last)


@compiled
@no_type_check
def _add_rows(flat: Pixels, top: int, bottom: int, total: Sums, line: Reals) -> None:
    """Add whole rows to ``line``; ``total`` is temporary memory."""
    real, row = line.dtype.type, top + (bottom - top) % 4
    total[:] = 0
    for k in range(top, row):
        a = flat[k]
        for t in range(total.size):
            total[t] += np.uint16(a[t])
    for k in range(row, bottom, 4):
        a, b, c, d = flat[k], flat[k + 1], flat[k + 2], flat[k + 3]
        for t in range(total.size):
            total[t] += np.uint16(a[t]) + np.uint16(b[t]) + np.uint16(c[t]) + np.uint16(d[t])
    for t in range(total.size):
        line[t] += real(np.int32(total[t]))


@compiled
@no_type_check
def _add_part(row: Pixels, part: float, line: Reals) -> None:
    real = line.dtype.type
    for t in range(row.size):
        line[t] += part * real(np.int32(row[t]))


@compiled
@no_type_check
def _sum(line: Reals, at: int, count: int):  # noqa: ANN202 - a vector of the compiler's
    """Sum so many pixels of a line."""
    total = five_pixels(line, at, min(count, FIVE))
    for n in range(FIVE, count, FIVE):
        total = plus(total, five_pixels(line, at + 3 * n, min(count - n, FIVE)))
    return sum_of_five(total)
