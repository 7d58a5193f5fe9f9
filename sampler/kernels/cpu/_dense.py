"""The CPU kernels of anti-aliased `sample` for dense floating-point images, and of its way back.

They do what ``kernels/plain/_antialias.py`` and ``_pull_back.py`` do, footprint by footprint and source row by source row. Where
a run of pixels ends beyond the image, the border's pixel goes on.

Up to four channels go through together, as one vector (``_vectors.py``). For that the source rows that an output row needs lie
with their channels side by side in a ring of rows, each of which is brought there once.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays by place
# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels.cpu._compiled import compiled
from foveal.sampler.kernels.cpu._find import find
from foveal.sampler.kernels.cpu._vectors import channel, get, minus, no_colour, plus, plus_times

Reals = NDArray[np.floating]
Tags = NDArray[np.int64]
Size = tuple[int, int]
Band = tuple[int, int]  # rows of the output, [first, last)

AT_ONCE = 4
"""Channels that go through together."""


@compiled
@no_type_check
def average_into(image: Reals, grid: Reals, pixels: Reals, rows: Band) -> None:
    """Write some rows of ``pixels`` (C, H, W): means of ``image`` (C, h, w) over the footprints of ``grid`` (H, W, 2); C is at most 4."""
    size, width, real = (image.shape[1], image.shape[2]), grid.shape[1], grid.dtype.type
    steps, foot = np.empty((4, width), grid.dtype), np.empty((5, width), grid.dtype)
    depth = _depth(grid, size, rows, steps, foot)
    ring, tags = np.zeros(depth * size[1] * AT_ONCE, grid.dtype), np.full(depth, -1)
    for i in range(rows[0], rows[1]):
        find(grid, i, size, steps, foot)
        _fetch(image, _rows_of(foot, size), ring, tags)
        for j in range(width):
            total = no_colour(real(0))
            first, top, bottom = _span(foot, j)
            for k in range(int(bottom) + 1):
                row, left, right = _run(foot, j, first + k, size)
                begin, end = _pixel(left, size[1]), _pixel(right, size[1])
                line = (row & (depth - 1)) * size[1]
                one, other = get(ring, (line + begin) * AT_ONCE), get(ring, (line + end) * AT_ONCE)
                inside = real(min(bottom, k + 1.0) - max(top, float(k)))
                total = plus_times(total, inside, _sum(ring, line, left, right, begin, end, one, other))
            scale = real(1) / (foot[2, j] * foot[3, j])
            for c in range(image.shape[0]):
                pixels[c, i, j] = channel(total, c) * scale


@compiled
@no_type_check
def pull_back_to_numbers(image: Reals, grid: Reals, by_pixels: Reals, by_numbers: Reals, rows: Band) -> None:
    """Add to ``by_numbers`` (5, H, W), by the numbers of each `Footprint`, what some rows of ``by_pixels`` (C, H, W) make of it."""
    size, width, real = (image.shape[1], image.shape[2]), grid.shape[1], grid.dtype.type
    steps, foot = np.empty((4, width), grid.dtype), np.empty((5, width), grid.dtype)
    depth = _depth(grid, size, rows, steps, foot)
    ring, tags = np.zeros(depth * size[1] * AT_ONCE, grid.dtype), np.full(depth, -1)
    none, half = real(0), real(0.5)
    for i in range(rows[0], rows[1]):
        find(grid, i, size, steps, foot)
        _fetch(image, _rows_of(foot, size), ring, tags)
        for j in range(width):
            total = moved = widened = turned = of_first = of_last = no_colour(none)
            first, top, bottom = _span(foot, j)
            last = int(bottom)
            for k in range(last + 1):
                row, left, right = _run(foot, j, first + k, size)
                begin, end = _pixel(left, size[1]), _pixel(right, size[1])
                line = (row & (depth - 1)) * size[1]
                one, other = get(ring, (line + begin) * AT_ONCE), get(ring, (line + end) * AT_ONCE)
                run, step = _sum(ring, line, left, right, begin, end, one, other), minus(other, one)
                inside = real(min(bottom, k + 1.0) - max(top, float(k)))
                total, moved = plus_times(total, inside, run), plus_times(moved, inside, step)
                widened = plus_times(widened, inside, plus(other, one))
                turned = plus_times(turned, inside * (real(first + k + 0.5) - foot[1, j]), step)
                if k == 0:
                    of_first = run
                if k == last:
                    of_last = run
            across, down, lean = foot[2, j], foot[3, j], foot[4, j]
            for c in range(image.shape[0]):
                by = by_pixels[c, i, j] / (across * down)
                upper, lower, shift = channel(of_first, c), channel(of_last, c), channel(moved, c)
                by_numbers[0, i, j] += by * shift
                by_numbers[1, i, j] += by * (lower - upper - lean * shift)
                by_numbers[2, i, j] += by * (channel(widened, c) * half - channel(total, c) / across)
                by_numbers[3, i, j] += by * ((lower + upper) * half - channel(total, c) / down)
                by_numbers[4, i, j] += by * channel(turned, c)


@compiled
@no_type_check
def pull_back_to_image(by_pixels: Reals, grid: Reals, by_image: Reals, rows: Band) -> None:
    """Add to ``by_image`` (C, h, w) what some rows of ``by_pixels`` (C, H, W) make of it: `average_into` the other way."""
    channels, size, width = by_image.shape[0], (by_image.shape[1], by_image.shape[2]), grid.shape[1]
    steps, foot = np.empty((4, width), grid.dtype), np.empty((5, width), grid.dtype)
    for i in range(rows[0], rows[1]):
        find(grid, i, size, steps, foot)
        for j in range(width):
            first, top, bottom = _span(foot, j)
            scale = 1 / (np.float64(foot[2, j]) * np.float64(foot[3, j]))
            for k in range(int(bottom) + 1):
                row, left, right = _run(foot, j, first + k, size)
                begin, end = _pixel(left, size[1]), _pixel(right, size[1])
                share = scale * (min(bottom, k + 1.0) - max(top, float(k)))
                for c in range(channels):
                    by = share * by_pixels[c, i, j]
                    if begin == end:
                        by_image[c, row, begin] += by * (right - left)
                        continue
                    by_image[c, row, begin] += by * (begin + 1 - left)
                    by_image[c, row, end] += by * (right - end)
                    for column in range(begin + 1, end):
                        by_image[c, row, column] += by


@compiled
@no_type_check
def _depth(grid: Reals, size: Size, rows: Band, steps: Reals, foot: Reals) -> int:
    """How many source rows any output row needs at most, or more: a power of two."""
    most, depth = 1, 1
    for i in range(rows[0], rows[1]):
        find(grid, i, size, steps, foot)
        first, last = _rows_of(foot, size)
        most = max(most, last - first + 1)
    while depth < most:
        depth *= 2
    return depth


@compiled
@no_type_check
def _rows_of(foot: Reals, size: Size) -> tuple[int, int]:
    """The first and the last source row of an output row's footprints."""
    first, last = size[0] - 1, 0
    for j in range(foot.shape[1]):
        number, _, bottom = _span(foot, j)
        first = min(first, max(np.int64(number), 0))
        last = max(last, min(np.int64(number) + np.int64(bottom), size[0] - 1))
    return first, last


@compiled
@no_type_check
def _fetch(image: Reals, rows: tuple[int, int], ring: Reals, tags: Tags) -> None:
    """Bring source rows into the ring, unless they are there."""
    channels, _, width = image.shape
    for row in range(rows[0], rows[1] + 1):
        slot = row & (tags.size - 1)
        if tags[slot] == row:
            continue
        tags[slot] = row
        line = ring[slot * width * AT_ONCE : (slot + 1) * width * AT_ONCE]
        if channels == 3:
            red, green, blue = image[0, row], image[1, row], image[2, row]
            for column in range(width):
                line[AT_ONCE * column] = red[column]
                line[AT_ONCE * column + 1] = green[column]
                line[AT_ONCE * column + 2] = blue[column]
        else:
            for c in range(channels):
                for column in range(width):
                    line[AT_ONCE * column + c] = image[c, row, column]


@compiled
@no_type_check
def _span(foot: Reals, j: int) -> tuple[float, float, float]:
    """The first source row of a footprint, and where in it, and how far below its upper edge, the footprint begins and ends."""
    real = foot.dtype.type
    edge = foot[1, j] - foot[3, j] * real(0.5)
    first = np.floor(edge)
    top = edge - first
    return np.float64(first), np.float64(top), np.float64(top + foot[3, j])


@compiled
@no_type_check
def _run(foot: Reals, j: int, number: float, size: Size) -> tuple[int, float, float]:
    """The number of a source row, of the border's beyond the image, and where a footprint's run in it begins and ends."""
    real = foot.dtype.type
    middle = real(number + 0.5)
    left = foot[0, j] + foot[4, j] * (middle - foot[1, j]) - foot[2, j] * real(0.5)
    row = min(max(np.int64(number), 0), size[0] - 1)
    return row, np.float64(left), np.float64(left + foot[2, j])


@compiled
@no_type_check
def _pixel(place: float, width: int) -> int:
    return min(max(np.int64(np.floor(place)), 0), width - 1)


@compiled
@no_type_check
def _sum(
    ring: Reals, line: int, left: float, right: float, begin: int, end: int, one: Reals, other: Reals
) -> Reals:
    """The pixels of one row from ``left`` to ``right``, which lie in ``one`` and ``other``; those two by the part that is inside."""
    real = ring.dtype.type
    if begin == end:
        return plus_times(no_colour(real(0)), real(right - left), one)
    total = plus_times(no_colour(real(0)), real(begin + 1 - left), one)
    total = plus_times(total, real(right - end), other)
    for column in range(begin + 1, end):
        total = plus(total, get(ring, (line + column) * AT_ONCE))
    return total
