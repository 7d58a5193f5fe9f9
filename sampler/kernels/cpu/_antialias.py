"""The CPU kernel of anti-aliased `sample` for any grid; ``kernels/_footprint.py`` says what it computes.

An output row is computed in steps: first all its footprints; then, for a few of them at a time, where the run in each of
their source rows begins and ends, eight rows at once (``_aim.py``); then the sums of the pixels, eight to a vector
(``_vectors.py``). Footprints that are computed together all get as many source rows, and as many vectors for each row, as
the largest of them. Rows and pixels that a footprint does not have get a weight of zero, so that the processor never has
to predict their number.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays by place
# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels.cpu._aim import TOGETHER, aim
from foveal.sampler.kernels.cpu._compiled import compiled
from foveal.sampler.kernels.cpu._find import find
from foveal.sampler.kernels.cpu._points import put_row
from foveal.sampler.kernels.cpu._prefetch import prefetch_address
from foveal.sampler.kernels.cpu._vectors import (
    EIGHT,
    OVER,
    eight_pixels,
    first_of_eight,
    get_apart,
    minus,
    no_colour,
    one_pixel,
    plus,
    plus_times,
    put_apart,
    sum_of_eight,
)

Pixels = NDArray[np.uint8]
Reals = NDArray[np.floating]
Counts = NDArray[np.int32]
Size = tuple[int, int]
Band = tuple[int, int]  # rows of the output, [first, last)
Some = tuple[int, int]  # columns of the output, likewise

_ROWS = 32  # source rows whose runs are computed before they are read
_TILE = 16  # footprints that are computed together
_BYTES = 3 * EIGHT  # of a vector of pixels
_FARTHEST = 2**31 - 1  # largest distance between rows, in bytes, that `at` can hold
# Colours of `sums`: of the footprint; of its right edge minus its left edge; of both edges together; of the difference
# times the number of the source row; of the first row; of the last row.
TOTAL, MOVED, WIDENED, TURNED, FIRST, LAST = range(6)
# For the footprints of one output row. Rows of `lies`: first source row, number of rows, vectors for a run. `box`, `at`
# and `part`: see `aim`.


@compiled
@no_type_check
def antialias_into(
    image: Pixels,
    tail: Pixels,
    grid: Reals,
    pixels: Reals,
    slope: Reals,
    tone: Reals,
    channels_last: bool,
    rows: Band,
) -> None:
    """Write some rows of ``pixels``, (3, H, W) or (H, W, 3), flat, from ``image`` (h, w, 3), contiguous, at ``grid`` (H, W, 2).

    ``tail``: the end of the image, by `end_of`. ``slope`` (5, 3, H, W), unless it is empty: the derivatives of each pixel
        with respect to the five numbers of its footprint. ``tone`` (2, 3): factor and summand of each channel.
    """
    (first, last), width, size = rows, grid.shape[1], (image.shape[0], image.shape[1])
    steps, foot = np.empty((4, width), grid.dtype), np.empty((5, width), grid.dtype)
    whole = width + TOGETHER  # `aim` also computes some after the last one
    box, lies = np.zeros((5, whole), grid.dtype), np.zeros((3, whole), np.int32)
    at, part = np.empty((3, _ROWS * _TILE), np.int32), np.empty((3, _ROWS * _TILE), grid.dtype)
    sums, values = np.empty(6 * 3 * width, grid.dtype), np.empty((3, width), grid.dtype)
    for i in range(first, last):
        find(grid, i, size, steps, foot)
        _lay(size[1], foot, box, lies)
        if slope.size:
            _read(image, tail, width, box, lies, at, part, sums, sums)
        else:
            _read(image, tail, width, box, lies, at, part, sums, None)
        _average(sums, foot, values)
        if slope.size:
            _differentiate(sums, foot, lies, tone, i, slope)
        put_row(values, tone, pixels, i, grid.shape[0], channels_last)


def end_of(image: Pixels) -> Pixels:
    """Copy the end of an image to memory in which reading beyond it is allowed."""
    width = image.shape[1]
    source = image.reshape(-1)[-_tail_size.py_func(width) :]
    return np.concatenate([source, np.zeros(3 * width + 2 * OVER, np.uint8)])


@compiled
@no_type_check
def _tail_size(width: int) -> int:
    return 6 * width + 4 * OVER


@compiled
@no_type_check
def _lay(width: int, foot: Reals, box: Reals, lies: Counts) -> None:
    """Compute the number of source rows of each footprint, and its position in the first."""
    real = foot.dtype.type
    half, one = real(0.5), real(1)
    for j in range(foot.shape[1]):
        across, down, lean = foot[2, j], foot[3, j], foot[4, j]
        top = foot[1, j] - down * half
        row = np.floor(top)
        above = top - row
        box[0, j], box[1, j] = above, above + down
        box[3, j], box[4, j] = across, lean
        box[2, j] = foot[0, j] - across * half + lean * (row + half - foot[1, j])
        lies[0, j], lies[1, j] = np.int32(row), np.int32(above + down) + np.int32(1)
        lies[2, j] = np.int32(1) + np.int32(min(across + one, real(width)) * real(1 / EIGHT))


@compiled
@no_type_check
def _read(
    image: Pixels,
    tail: Pixels,
    width: int,
    box: Reals,
    lies: Counts,
    at: Counts,
    part: Reals,
    sums: Reals,
    edges: Reals | None,
) -> None:
    """Sum the pixels of a row of footprints, and for ``edges`` also the terms of their derivatives."""
    size = np.int32(image.shape[0]), np.int32(image.shape[1])
    stride, bottom = 3 * np.int64(size[1]), image.size
    begins, tail_begins = np.int64(image.ctypes.data), np.int64(tail.ctypes.data)
    tail_begins -= max(0, bottom - _tail_size(size[1]))
    first = 0
    while first < width:
        some = first, min(first + _TILE, width)
        most, vectors, highest, lowest = _extent(lies, some)
        # They are further apart than `at` can hold.
        if stride * (np.int64(lowest) - highest + _ROWS) > _FARTHEST:
            some = first, first + 1
            most, vectors, highest, lowest = _extent(lies, some)
        first = some[1]
        limit = bottom - _BYTES * np.int64(vectors) - OVER
        inside = stride * (np.int64(max(lowest, np.int32(0))) + most) <= limit
        for begin in range(0, most, _ROWS):
            rows = begin, min(_ROWS, most - begin)
            origin = max(np.int32(0), min(np.int32(highest + begin), size[0] - np.int32(1)))
            for k in range(rows[1]):
                for j in range(some[0], some[1], TOGETHER):
                    aim(box, lies, j, begin + k, origin, size, at, part, _TILE * k + j - some[0])
            before = stride * np.int64(origin)
            start, ahead = begins + before, stride * most
            if not inside:
                own = limit - before, tail_begins + before
                _add(start, own, some, rows, ahead, vectors, width, lies, at, part, sums, edges)
            elif vectors > 1:
                _add(start, None, some, rows, ahead, vectors, width, lies, at, part, sums, edges)
            else:
                _add(start, None, some, rows, ahead, None, width, lies, at, part, sums, edges)


@compiled
@no_type_check
def _extent(lies: Counts, some: Some) -> tuple[int, int, int, int]:
    """Return the largest numbers of rows and vectors of some footprints, and the least and the largest first row."""
    at = np.uint64(some[0])  # unsigned: numba leaves out its test for indices from the end
    most, vectors, highest, lowest = lies[1, at], lies[2, at], lies[0, at], lies[0, at]
    for n in range(1, some[1] - some[0]):
        j = np.uint64(some[0] + n)
        most, vectors = max(most, lies[1, j]), max(vectors, lies[2, j])
        highest, lowest = min(highest, lies[0, j]), max(lowest, lies[0, j])
    return most, vectors, highest, lowest


@compiled
@no_type_check
def _add(
    begins: int,
    tail: tuple[int, int] | None,
    some: Some,
    rows: tuple[int, int],
    ahead: int,
    vectors: int | None,
    width: int,
    lies: Counts,
    at: Counts,
    part: Reals,
    sums: Reals,
    edges: Reals | None,
) -> None:
    """Add source rows to the sums of some footprints: from number ``rows[0]`` on, ``rows[1]`` of them, as `aim` left them.

    ``begins``: the address from which ``at`` counts. ``tail``, if rows may be at the end of the image: up to where it may
        be read, and the address to count from beyond that. ``ahead``: distance in bytes to the pixels of the next output
        row, which are prefetched now: every line, as a long run waits for those that are not. ``vectors``: vectors of
        eight pixels for a run; None for one.
    """
    zero, one = part.dtype.type(0), part.dtype.type(1)
    begin, count = rows
    for m in range(some[1] - some[0]):
        j = some[0] + m
        total = moved = widened = turned = of_first = of_last = no_colour(zero)
        if begin > 0:
            total = get_apart(sums, TOTAL * 3 * width + j, width)
            if edges is not None:
                moved = get_apart(edges, MOVED * 3 * width + j, width)
                widened = get_apart(edges, WIDENED * 3 * width + j, width)
                turned = get_apart(edges, TURNED * 3 * width + j, width)
                of_first = get_apart(edges, FIRST * 3 * width + j, width)
                of_last = get_apart(edges, LAST * 3 * width + j, width)
        for k in range(count):
            n = np.uint64(_TILE * k + m)
            start, end, pixels, share = np.int64(at[0, n]), np.int64(at[1, n]), np.int64(at[2, n]), part[2, n]
            base = begins
            if tail is not None:
                base = begins if start <= tail[0] else tail[1]
            prefetch_address(begins + start + ahead)
            eight, right = eight_pixels(base + start), one_pixel(base + end, zero)
            left = first_of_eight(eight, zero)
            colour = plus_times(no_colour(zero), part[0, n], left)
            colour = plus_times(colour, part[1, n], right)
            if vectors is None:
                colour = plus(colour, sum_of_eight(eight, pixels, zero))
            else:
                colour = plus(colour, sum_of_eight(eight, min(pixels, EIGHT), zero))
                for v in range(1, vectors):
                    prefetch_address(begins + start + ahead + _BYTES * v)
                    rest = min(max(pixels - EIGHT * v, 0), EIGHT)
                    eight = eight_pixels(base + start + _BYTES * v)
                    colour = plus(colour, sum_of_eight(eight, rest, zero))
            total = plus_times(total, share, colour)
            if edges is not None:
                step, number = minus(right, left), begin + k
                moved = plus_times(moved, share, step)
                widened = plus_times(widened, share, plus(right, left))
                turned = plus_times(turned, share * part.dtype.type(number), step)
                of_first = plus_times(of_first, one if number == 0 else zero, colour)
                of_last = plus_times(of_last, one if number == lies[1, j] - 1 else zero, colour)
        put_apart(sums, TOTAL * 3 * width + j, width, total)
        if edges is not None:
            put_apart(edges, MOVED * 3 * width + j, width, moved)
            put_apart(edges, WIDENED * 3 * width + j, width, widened)
            put_apart(edges, TURNED * 3 * width + j, width, turned)
            put_apart(edges, FIRST * 3 * width + j, width, of_first)
            put_apart(edges, LAST * 3 * width + j, width, of_last)


@compiled
@no_type_check
def _average(sums: Reals, foot: Reals, values: Reals) -> None:
    """Compute averages from the sums: ``values`` (3, W)."""
    real = foot.dtype.type
    width = foot.shape[1]
    for c in range(3):
        total = sums[c * width : (c + 1) * width]
        for j in range(width):
            scale = real(1 / 255) / (foot[2, j] * foot[3, j])
            values[c, j] = min(real(1), total[j] * scale)  # rounding may exceed white


@compiled
@no_type_check
def _differentiate(sums: Reals, foot: Reals, lies: Counts, tone: Reals, i: int, slope: Reals) -> None:
    """Compute derivatives from the sums: row i of ``slope`` (5, 3, H, W), multiplied by the channels' factors, with respect to the five numbers of `Footprint`."""
    real = foot.dtype.type
    half, width = real(0.5), foot.shape[1]
    colours = sums.reshape((6, 3, width))
    for c in range(3):
        by_x, by_y, by_across = slope[0, c, i], slope[1, c, i], slope[2, c, i]
        by_down, by_lean = slope[3, c, i], slope[4, c, i]
        for j in range(width):
            y, across, down, lean = foot[1, j], foot[2, j], foot[3, j], foot[4, j]
            factor = real(1 / 255) * tone[0, c] / (across * down)
            total, moved = colours[TOTAL, c, j], colours[MOVED, c, j]
            first, last = colours[FIRST, c, j], colours[LAST, c, j]
            by_x[j] = moved * factor
            by_y[j] = (last - first - lean * moved) * factor
            by_across[j] = (colours[WIDENED, c, j] * half - total / across) * factor
            by_down[j] = ((last + first) * half - total / down) * factor
            by_lean[j] = (colours[TURNED, c, j] + (real(lies[0, j]) + half - y) * moved) * factor
