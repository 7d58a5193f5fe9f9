"""The CPU kernel of anti-aliased `sample` for any grid; ``kernels/_footprint.py`` says what it computes.

An output row goes through in steps that each run over its whole width. First come the footprints; then, for a few source
rows of every footprint at a time, where in them to begin and which part of the outermost pixels counts (``_aim``); then the
pixels themselves, ten to a vector (``_vectors.py``). All pixels of a run but the outermost count in full, so they are
summed as the integers that they are. The first and the last source row of each footprint count in part, and go first.
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
    TEN,
    ask_for,
    get,
    minus,
    no_colour,
    no_lanes,
    one_pixel,
    plus,
    plus_times,
    put,
    sum_of_ten,
    ten_pixels,
)

Pixels = NDArray[np.uint8]
Reals = NDArray[np.floating]
Counts = NDArray[np.int32]
Size = tuple[int, int]
Band = tuple[int, int]  # rows of the output, [first, last)

_ROWS = 8  # source rows between a look at where they begin and their reading
_MOST = 25  # vectors that `sum_of_ten` takes a sum of
_BEYOND = 64  # bytes that may be read behind a run
_LARGE = 1 << 22  # bytes of an image that no cache near a processor holds
_AHEAD = 8  # footprints between asking for a source row and reading it
# Colours of `sums`: of the footprint; of its right less its left edge; of both; of the former, by the source row's
# number; of the first row; of the last.
TOTAL, MOVED, WIDENED, TURNED, FIRST, LAST = range(6)
# Rows of `box`: which part of the first and of the last source row counts; where the first begins.
# Rows of `lies`: first source row, number of the last, vectors to a run.
# Rows of `run`: first pixel, number of the last, for source rows; of `part`: less of the first pixel, of the last one.


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

    ``tail``: the end of the image, by `end_of`. ``slope`` (5, 3, H, W), unless it is empty: the derivative of each pixel by
    the five numbers of its footprint. ``tone`` (2, 3): what each channel is multiplied by, and what is then added.
    """
    (first, last), width, size = rows, grid.shape[1], (image.shape[0], image.shape[1])
    steps, foot = np.empty((8, width), grid.dtype), np.empty((5, width), grid.dtype)
    box, lies = np.empty((3, width), grid.dtype), np.empty((3, width), np.int32)
    run, part = np.empty((_ROWS, 2, width), np.int32), np.empty((_ROWS, 2, width), grid.dtype)
    number, sums = np.empty(width, np.int32), np.zeros(6 * 4 * width, grid.dtype)
    values = np.empty((3, width), grid.dtype)
    for i in range(first, last):
        find(grid, i, size, steps, foot)
        most = _lay(size[1], foot, box, lies)
        number[:] = 0
        _aim(number, size, foot, box, lies, run[0], part[0])
        _aim(lies[1], size, foot, box, lies, run[1], part[1])
        if slope.size:
            _read_ends(image, tail, box, lies, run, part, sums, sums)
        else:
            _read_ends(image, tail, box, lies, run, part, sums, None)
        for begin in range(1, most, _ROWS):
            count = min(_ROWS, most - begin)
            for k in range(count):
                number[:] = begin + k
                _aim(number, size, foot, box, lies, run[k], part[k])
            if slope.size:
                _read_between(image, tail, begin, count, lies, run, part, sums, sums)
            else:
                _read_between(image, tail, begin, count, lies, run, part, sums, None)
        _average(sums, foot, values)
        if slope.size:
            _differentiate(sums, foot, lies, tone, i, slope)
        put_row(values, tone, pixels, i, grid.shape[0], channels_last)


def end_of(image: Pixels) -> Pixels:
    """Copy the end of an image to where one may read on behind it."""
    width = image.shape[1]
    source = image.reshape(-1)[-6 * width - 2 * _BEYOND :]
    return np.concatenate([source, np.zeros(3 * width + 2 * _BEYOND, np.uint8)])


@compiled
@no_type_check
def _lay(width: int, foot: Reals, box: Reals, lies: Counts) -> int:
    """Find the source rows of each footprint, and where it begins in the first; return the largest number of a last row."""
    real = foot.dtype.type
    half, one, most = real(0.5), real(1), np.int32(0)
    for j in range(foot.shape[1]):
        across, down, lean = foot[2, j], foot[3, j], foot[4, j]
        top = foot[1, j] - down * half
        row = np.int32(top)
        row -= 1 if top < real(row) else 0
        above = top - real(row)
        end = np.int32(above + down)
        box[0, j], box[1, j] = one - above, above + down - real(end)
        box[2, j] = foot[0, j] - across * half + lean * (real(row) + half - foot[1, j])
        lies[0, j], lies[1, j] = row, end
        lies[2, j] = 1 + np.int32(min(across + one, real(width)) * real(1 / TEN))
    for j in range(foot.shape[1]):
        most = max(most, lies[1, j])
    return most


@compiled
@no_type_check
def _aim(number: Counts, size: Size, foot: Reals, box: Reals, lies: Counts, run: Counts, part: Reals) -> None:
    """Find where each footprint's source row of this ``number`` begins and ends: ``run`` (2, W) and ``part`` (2, W).

    Beyond the image's border the border pixel counts, as often as it takes.
    """
    real = foot.dtype.type
    height, width = np.int32(size[0]), np.int32(size[1])
    for j in range(foot.shape[1]):
        left = box[2, j] + real(number[j]) * foot[4, j]
        column = np.int32(left)
        column -= 1 if left < real(column) else 0
        column = max(np.int32(0), min(column, width - 1))
        begin = left - real(column)
        end = begin + foot[2, j]
        last = max(np.int32(0), min(np.int32(end), width - 1 - column))
        row = max(np.int32(0), min(lies[0, j] + number[j], height - 1))
        run[0, j], run[1, j] = row * width + column, last
        part[0, j], part[1, j] = -begin, end - real(last)


@compiled
@no_type_check
def _read_ends(
    image: Pixels,
    tail: Pixels,
    box: Reals,
    lies: Counts,
    run: Counts,
    part: Reals,
    sums: Reals,
    edges: Reals | None,
) -> None:
    """Begin the sums of each footprint with its first and its last source row, whose runs are numbers 0 and 1."""
    zero, width = box.dtype.type(0), lies.shape[1]
    begins, tail_begins = _addresses(image, tail)
    for j in range(width):
        vectors = np.int64(lies[2, j])
        limit = image.size - 3 * TEN * vectors - _BEYOND
        total = no_colour(zero)
        for end in range(2):
            ahead = begins + 3 * np.int64(run[end, 0, min(j + _AHEAD, width - 1)])
            ask_for(ahead)
            ask_for(ahead + 64)
            at, last = 3 * np.int64(run[end, 0, j]), np.int64(run[end, 1, j])
            at += begins if at <= limit else tail_begins
            left, right = one_pixel(at, zero), one_pixel(at + 3 * last, zero)
            colour = _sum(at, last, vectors, zero)
            colour = plus_times(plus_times(colour, part[end, 0, j], left), part[end, 1, j], right)
            total = plus_times(total, box[end, j], colour)
            if edges is not None:
                put(edges, 4 * ((FIRST + end) * width + j), colour)
                moved, both = minus(right, left), plus(right, left)
                weight = box[end, j]
                at0, at1, at2 = 4 * (MOVED * width + j), 4 * (WIDENED * width + j), 4 * (TURNED * width + j)
                if end == 0:
                    put(edges, at0, plus_times(no_colour(zero), weight, moved))
                    put(edges, at1, plus_times(no_colour(zero), weight, both))
                else:
                    put(edges, at0, plus_times(get(edges, at0), weight, moved))
                    put(edges, at1, plus_times(get(edges, at1), weight, both))
                    put(edges, at2, plus_times(no_colour(zero), weight * lies[1, j], moved))
        put(sums, 4 * j, total)


@compiled
@no_type_check
def _addresses(image: Pixels, tail: Pixels) -> tuple[int, int]:
    """Return the image's address, and that which it would have if its end were ``tail``."""
    return np.int64(image.ctypes.data), np.int64(tail.ctypes.data) - max(
        0, image.size - 6 * image.shape[1] - 2 * _BEYOND
    )


@compiled
@no_type_check
def _sum(at: int, last: int, vectors: int, zero: float):  # noqa: ANN202 - a vector of the compiler's
    """Sum a run's pixels before number ``last``."""
    if vectors == 1:
        return sum_of_ten(ten_pixels(at, last), zero)
    total, lanes, full = no_colour(zero), no_lanes(), 0
    for _ in range(vectors - 1):
        lanes = plus(lanes, ten_pixels(at, min(last, TEN)))
        at += 3 * TEN
        last = max(last - TEN, 0)
        full += 1
        if full == _MOST - 1:
            total, lanes, full = plus(total, sum_of_ten(lanes, zero)), no_lanes(), 0
    return plus(total, sum_of_ten(plus(lanes, ten_pixels(at, last)), zero))


@compiled
@no_type_check
def _read_between(
    image: Pixels,
    tail: Pixels,
    begin: int,
    count: int,
    lies: Counts,
    run: Counts,
    part: Reals,
    sums: Reals,
    edges: Reals | None,
) -> None:
    """Add source rows ``begin`` to ``begin + count - 1`` of each footprint, those before the last, to its sums."""
    zero, width = part.dtype.type(0), lies.shape[1]
    begins, tail_begins = _addresses(image, tail)
    for j in range(width):
        rows, vectors = min(count, np.int64(lies[1, j]) - begin), np.int64(lies[2, j])
        limit = image.size - 3 * TEN * vectors - _BEYOND
        total, lanes = get(sums, 4 * j), no_lanes()
        if edges is not None:
            moved, widened = get(edges, 4 * (MOVED * width + j)), get(edges, 4 * (WIDENED * width + j))
            turned = get(edges, 4 * (TURNED * width + j))
        for k in range(rows):
            ahead = begins + 3 * np.int64(run[k, 0, min(j + _AHEAD, width - 1)])
            ask_for(ahead)
            ask_for(ahead + 64)
            at, last = 3 * np.int64(run[k, 0, j]), np.int64(run[k, 1, j])
            at += begins if at <= limit else tail_begins
            left, right = one_pixel(at, zero), one_pixel(at + 3 * last, zero)
            if vectors <= _MOST // _ROWS:
                for n in range(vectors - 1):
                    lanes = plus(lanes, ten_pixels(at + 3 * TEN * n, min(max(last - TEN * n, 0), TEN)))
                n = vectors - 1
                lanes = plus(lanes, ten_pixels(at + 3 * TEN * n, max(last - TEN * n, 0)))
            else:
                total = plus(total, _sum(at, last, vectors, zero))
            total = plus_times(plus_times(total, part[k, 0, j], left), part[k, 1, j], right)
            if edges is not None:
                moved, widened = plus(moved, minus(right, left)), plus(widened, plus(right, left))
                turned = plus_times(turned, part.dtype.type(begin + k), minus(right, left))
        put(sums, 4 * j, plus(total, sum_of_ten(lanes, zero)))
        if edges is not None:
            put(edges, 4 * (MOVED * width + j), moved)
            put(edges, 4 * (WIDENED * width + j), widened)
            put(edges, 4 * (TURNED * width + j), turned)


@compiled
@no_type_check
def _average(sums: Reals, foot: Reals, values: Reals) -> None:
    """Make averages of the sums: ``values`` (3, W)."""
    real = foot.dtype.type
    for j in range(foot.shape[1]):
        scale = real(1 / 255) / (foot[2, j] * foot[3, j])
        for c in range(3):
            values[c, j] = min(real(1), sums[4 * j + c] * scale)  # white may be rounded up


@compiled
@no_type_check
def _differentiate(sums: Reals, foot: Reals, lies: Counts, tone: Reals, i: int, slope: Reals) -> None:
    """Make derivatives of the sums: row i of ``slope`` (5, 3, H, W), toned, by the five numbers of `Footprint`."""
    real = foot.dtype.type
    half, width = real(0.5), foot.shape[1]
    colours = sums.reshape((6, width, 4))
    for c in range(3):
        by_x, by_y, by_across = slope[0, c, i], slope[1, c, i], slope[2, c, i]
        by_down, by_lean = slope[3, c, i], slope[4, c, i]
        for j in range(width):
            y, across, down, lean = foot[1, j], foot[2, j], foot[3, j], foot[4, j]
            factor = real(1 / 255) * tone[0, c] / (across * down)
            total, moved = colours[TOTAL, j, c], colours[MOVED, j, c]
            first, last = colours[FIRST, j, c], colours[LAST, j, c]
            by_x[j] = moved * factor
            by_y[j] = (last - first - lean * moved) * factor
            by_across[j] = (colours[WIDENED, j, c] * half - total / across) * factor
            by_down[j] = ((last + first) * half - total / down) * factor
            by_lean[j] = (colours[TURNED, j, c] + (real(lies[0, j]) + half - y) * moved) * factor
