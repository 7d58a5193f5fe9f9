"""The CPU kernel of anti-aliased `sample`; ``kernels/_footprint.py`` says what it computes, ``plain/_antialias.py`` spells it out.

An output row goes through in steps that each run over its whole width, so that the compiler makes vector instructions
of them: the footprints, the lattice under them, and then, for the first source row of every footprint, for the second,
and so on, where in it to read and with which weights. Reading itself is one vector to a cell (``_add_run.py``). While
a source row is read, that of the output row to come is asked for, two cache lines to a footprint: asked for all at
once, they would queue.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays by place
# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
import math
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels._footprint import MOST_CELLS, READ_CELLS
from foveal.sampler.kernels.cpu._add_run import add_run, add_run_and_edges
from foveal.sampler.kernels.cpu._compiled import compiled
from foveal.sampler.kernels.cpu._points import put_row
from foveal.sampler.kernels.cpu._prefetch import prefetch

Pixels = NDArray[np.uint8]
Reals = NDArray[np.floating]
Counts = NDArray[np.int32]
Offsets = NDArray[np.int64]
Size = tuple[int, int]
Band = tuple[int, int]  # rows of the output, [first, last)

# Rows of `foot`: across, down, lean, x, y of `Footprint`; then room for a step between neighbours.
# Rows of `lattice`: first source row, stride of rows, stride of columns, a column to ask for, how many source rows.
# Rows of `span`, in cells: top and bottom from the first row's cell on; left in the first source row; by how much it
# moves from each to the next; length.
# Rows of `share`: of a source row, and of its change; of the first cell, what lies before the footprint; of the last, inside.
# Rows of `place`: the source row, the first column to read, the last cell inside.


@compiled
@no_type_check
def antialias_into(
    image: Pixels, grid: Reals, pixels: Reals, slope: Reals, tone: Reals, channels_last: bool, rows: Band
) -> None:
    """Write some rows of ``pixels``, (3, H, W) or (H, W, 3), flat, from ``image`` (h, w, 3), contiguous, at ``grid`` (H, W, 2).

    ``slope`` (2, 3, H, W), unless it is empty: the derivative of each pixel by its grid point's x, and by its y.
    ``tone`` (2, 3): what each channel is multiplied by, and what is then added.
    """
    (first, last), width = rows, grid.shape[1]
    size, source = (image.shape[0], image.shape[1]), image.reshape(image.size)
    foot, lattice = np.empty((2, 7, width), grid.dtype), np.zeros((2, 5, width), np.int32)
    span, share = np.empty((2, 5, width), grid.dtype), np.empty((4, width), grid.dtype)
    place, starts = np.empty((3, width), np.int32), np.empty((width,), np.int64)
    sums, border = np.empty((3, width, 8), grid.dtype), np.zeros(6 * READ_CELLS + 2, np.uint8)
    values, most, edges = np.empty((3, width), grid.dtype), 0, slope.size > 0
    for ahead in range(first, last + 1):
        if ahead < last:
            _find(grid, ahead, size, foot[ahead % 2])
            to_come = _lay_rows(foot[ahead % 2], lattice[ahead % 2], span[ahead % 2])
            _lay_columns(size[1], foot[ahead % 2], lattice[ahead % 2], span[ahead % 2])
        else:
            to_come = 0
            lattice[ahead % 2, 4] = 0  # nothing to ask for
        rounds, most = max(most, to_come), to_come
        if ahead == first:
            continue
        now = (ahead - 1) % 2
        sums[: 3 if edges else 1] = 0
        for k in range(rounds):
            _aim(k, size, lattice[now], span[now], share, place, starts)
            _read(
                source, k, size, lattice[now], lattice[ahead % 2], place, starts, share, sums, border, edges
            )
        _average(
            sums,
            size,
            foot[now],
            lattice[now],
            tone,
            values,
            slope[:, :, ahead - 1] if slope.size else slope[:, :, 0:0, 0],
        )
        put_row(values, tone, pixels, ahead - 1, grid.shape[0], channels_last)


@compiled
@no_type_check
def _find(grid: Reals, i: int, size: Size, foot: Reals) -> None:
    """Work out the footprints of an output row, as `footprints` does, operation by operation."""
    real = foot.dtype.type
    zero, half, one, tiny = real(0), real(0.5), real(1), real(1e-12)
    x_scale, y_scale = real(size[1]) * half, real(size[0]) * half
    x_most, y_most = real(2 * size[1]), real(2 * size[0])
    x_far, y_far = real(4 * size[1]), real(4 * size[0])
    height, width = grid.shape[0], grid.shape[1]
    points, above, below = grid[i], grid[max(i - 1, 0)], grid[min(i + 1, height - 1)]
    share = half if 0 < i < height - 1 else one
    for j in range(width):
        foot[0, j] = (below[j, 0] - above[j, 0]) * share * x_scale
        foot[1, j] = (below[j, 1] - above[j, 1]) * share * y_scale
        foot[3, j] = (points[j, 0] + one) * x_scale
        foot[4, j] = (points[j, 1] + one) * y_scale
    for j in range(width):
        left, right = max(j - 1, 0), min(j + 1, width - 1)
        share = half if 0 < j < width - 1 else one
        foot[5, j] = (points[right, 0] - points[left, 0]) * share * x_scale
        foot[6, j] = (points[right, 1] - points[left, 1]) * share * y_scale
    if height == 1:
        foot[0], foot[1] = zero, real(size[0])
    if width == 1:
        foot[5], foot[6] = real(size[1]), zero
    for j in range(width):
        b_x = foot[0, j] if abs(foot[0, j]) <= x_most else zero
        b_y = foot[1, j] if abs(foot[1, j]) <= y_most else zero
        a_x = foot[5, j] if abs(foot[5, j]) <= x_most else zero
        a_y = foot[6, j] if abs(foot[6, j]) <= y_most else zero
        c_xx, c_yy, c_xy = a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y
        tilt, middle = (c_xx - c_yy) * half, (c_xx + c_yy) * half
        radius = math.sqrt(tilt * tilt + c_xy * c_xy)
        large = max(one, middle + radius)
        small = max(one, middle - radius)
        kept = (large - small) * half / max(tiny, radius)
        c_yy, c_xy = (large + small) * half - kept * tilt, kept * c_xy
        foot[1, j] = math.sqrt(c_yy)
        foot[0, j] = math.sqrt(large * small) / foot[1, j]
        foot[2, j] = c_xy / c_yy
        x = max(-x_far, foot[3, j])  # NaN goes to pixel 0
        y = max(-y_far, foot[4, j])
        foot[3, j] = min(x_far, x)
        foot[4, j] = min(y_far, y)


@compiled
@no_type_check
def _lay_rows(foot: Reals, lattice: Counts, span: Reals) -> int:
    """Choose the source rows that each footprint of an output row is read in; return how many they are at most."""
    real = foot.dtype.type
    half, share, most = real(0.5), real(1 / MOST_CELLS), np.int32(0)
    for j in range(foot.shape[1]):
        stride = 1 + np.int32(foot[1, j] * share)
        known_by = (stride - 1) >> 1
        shift = real(known_by) + half - real(stride) * half
        long = foot[1, j] / real(stride)
        top = (foot[4, j] - shift) / real(stride) - long * half
        cell = np.int32(top)
        cell -= 1 if top < real(cell) else 0
        span[0, j], span[1, j] = top - real(cell), top - real(cell) + long
        lattice[0, j], lattice[1, j] = cell * stride + known_by, stride
        lattice[4, j] = 1 + np.int32(span[1, j])
    for j in range(foot.shape[1]):
        most = max(most, lattice[4, j])
    return most


@compiled
@no_type_check
def _lay_columns(width: int, foot: Reals, lattice: Counts, span: Reals) -> None:
    """Choose the source columns, and where a footprint begins in its first source row."""
    real = foot.dtype.type
    half, share, last = real(0.5), real(1 / MOST_CELLS), real(width - 1)
    for j in range(foot.shape[1]):
        stride = 1 + np.int32(foot[0, j] * share)
        pixels = 2 if stride > 1 else 1
        shift = real((stride - pixels) >> 1) + real(pixels) * half - real(stride) * half
        long = foot[0, j] / real(stride)
        x = foot[3, j]
        middle = x - shift + foot[2, j] * (real(lattice[0, j]) + half - foot[4, j])
        span[2, j] = middle / real(stride) - long * half
        span[3, j] = foot[2, j] * real(lattice[1, j]) / real(stride)
        span[4, j] = long
        lattice[2, j] = stride
        x = max(real(0), x)
        lattice[3, j] = np.int32(min(last, x))


@compiled
@no_type_check
def _aim(
    k: int, size: Size, lattice: Counts, span: Reals, share: Reals, place: Counts, starts: Offsets
) -> None:
    """For source row k of each footprint: ``share``, ``place``, and the byte that it starts at, -1 beyond the border."""
    real = span.dtype.type
    zero, one, k = real(0), real(1), np.int32(k)
    height, width = np.int32(size[0]), np.int32(size[1])
    for j in range(span.shape[1]):
        left = span[2, j] + real(k) * span[3, j]
        cell = np.int32(left)
        cell -= 1 if left < real(cell) else 0
        begin = left - real(cell)
        end = begin + span[4, j]
        last = np.int32(end)
        share[2, j], share[3, j] = begin, end - real(last)
        stride = lattice[2, j]
        place[1, j] = cell * stride + ((stride - (2 if stride > 1 else 1)) >> 1)
        place[2, j] = last
        row = lattice[0, j] + k * lattice[1, j]
        row = max(0, row)
        place[0, j] = row if row < height else height - 1
    for j in range(span.shape[1]):
        full = one if k + 1 < lattice[4, j] else span[1, j] - real(k)
        share[0, j] = full - (span[0, j] if k == 0 else zero)
        share[1, j] = (one if k + 1 == lattice[4, j] else zero) - (one if k == 0 else zero)
    for j in range(span.shape[1]):
        beyond = place[1, j] + (READ_CELLS - 1) * lattice[2, j] + 2
        start = 3 * (np.int64(place[0, j]) * np.int64(width) + np.int64(place[1, j]))
        starts[j] = start if place[1, j] >= 0 and beyond < width else np.int64(-1)


@compiled
@no_type_check
def _read(
    source: Pixels,
    k: int,
    size: Size,
    lattice: Counts,
    to_come: Counts,
    place: Counts,
    starts: Offsets,
    share: Reals,
    sums: Reals,
    border: Pixels,
    edges: bool,
) -> None:
    """Add source row k of each footprint to its sums; what lies beyond the border, by way of a copy."""
    width, safe = size[1], source.size - 8
    for j in range(lattice.shape[1]):
        if k < to_come[4, j]:
            ask_for = 3 * ((to_come[0, j] + k * to_come[1, j]) * width + to_come[3, j])
            prefetch(source, ask_for)
            prefetch(source, ask_for + 64)
        if k >= lattice[4, j]:
            continue
        start, stride, last = starts[j], np.int64(lattice[2, j]), np.int64(place[2, j])
        if start >= 0 and start + 3 * (READ_CELLS - 1) * stride <= safe:
            if edges:
                add_run_and_edges(source, start, 3 * stride, last, share, j, sums)
            else:
                add_run(source, start, 3 * stride, last, share, j, sums)
        else:
            row, column = place[0, j] * width, np.int64(place[1, j])
            for n in range(2 * READ_CELLS):
                pixel = row + min(max(column + (n >> 1) * stride + (n & 1), 0), width - 1)
                for c in range(3):
                    border[3 * n + c] = source[3 * pixel + c]
            add_run_and_edges(border, np.int64(0), np.int64(6), last, share, j, sums)


@compiled
@no_type_check
def _average(
    sums: Reals, size: Size, foot: Reals, lattice: Counts, tone: Reals, values: Reals, slope: Reals
) -> None:
    """Make averages of the sums: ``values`` (3, W); and ``slope`` (2, 3, W), toned, unless it is empty, by x and by y."""
    real = foot.dtype.type
    one, x_scale, y_scale = real(1), real(size[1]) * real(0.5), real(size[0]) * real(0.5)
    for j in range(foot.shape[1]):
        rows, columns = real(lattice[1, j]), real(lattice[2, j])
        second = real(1 if columns > 1 else 0)
        scale = real(1 / 255) / ((second + real(1)) * foot[0, j] * foot[1, j])
        for c in range(3):
            mean = (sums[0, j, c] + second * sums[0, j, c + 3]) * (scale * rows * columns)
            values[c, j] = min(one, mean)  # white may be rounded up
            if slope.size:
                by_x = (sums[1, j, c] + second * sums[1, j, c + 3]) * (scale * rows)
                by_y = (sums[2, j, c] + second * sums[2, j, c + 3]) * (scale * columns)
                slope[0, c, j] = by_x * x_scale * tone[0, c]
                slope[1, c, j] = (by_y - foot[2, j] * by_x) * y_scale * tone[0, c]
