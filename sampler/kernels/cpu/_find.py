"""The footprints of an output row on the CPU, as in ``kernels/_footprint.py``, and the derivatives from them back to the grid.

Each loop runs over the whole row, so that the compiler can vectorise it.
"""

# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
import math
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels._footprint import BEND, FAR, TINY, TORN, WIDEST
from foveal.sampler.kernels.cpu._compiled import compiled

Reals = NDArray[np.floating]
Size = tuple[int, int]
ALONG = 4  # rows of `steps`: x and y per column, x and y per row; then, for backward, 1 if a step is the grid's own and 0 if it was changed


@compiled
@no_type_check
def find(grid: Reals, i: int, size: Size, steps: Reals, foot: Reals) -> None:
    """Write the footprints of row i of ``grid`` (H, W, 2): ``foot`` (5, W), in the order of `Footprint`; ``steps`` as `find_steps` does."""
    real = foot.dtype.type
    half, one, tiny = real(0.5), real(1), real(TINY)
    find_steps(grid, i, size, steps)
    x_scale, y_scale = real(size[1]) * half, real(size[0]) * half
    x_far, y_far = real(FAR * size[1]), real(FAR * size[0])
    for j in range(grid.shape[1]):
        a_x, a_y, b_x, b_y = steps[0, j], steps[1, j], steps[2, j], steps[3, j]
        aa, bb = a_y * a_y, b_y * b_y
        most = max(tiny * tiny, aa, bb)
        a_y, b_y = a_y * (aa / most + one) * half, b_y * (bb / most + one) * half
        c_xx, c_yy, c_xy = a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y
        tilt, area = (c_xx - c_yy) * half, abs(a_x * b_y - a_y * b_x)
        radius = math.sqrt(tilt * tilt + c_xy * c_xy)
        large = max(one, (c_xx + c_yy) * half + radius)
        small = area * area / large
        kept = (large - one) * half / max(tiny, radius)
        yy, xy, full = one + kept * (c_yy - small), kept * c_xy, math.sqrt(large)
        yy, xy, full = (c_yy, c_xy, area) if small > one else (yy, xy, full)
        down = math.sqrt(yy)
        foot[2, j], foot[3, j], foot[4, j] = full / down, down, xy / yy
    here = _row(grid, i)
    find_bends(grid, i, size, foot[:2])
    for j in range(grid.shape[1]):
        x = max(-x_far, (here[2 * j] + one) * x_scale)  # NaN goes to pixel 0
        y = max(-y_far, (here[2 * j + 1] + one) * y_scale)
        foot[0, j] += min(x_far, x)
        foot[1, j] += min(y_far, y)


@compiled
@no_type_check
def find_bends(grid: Reals, i: int, size: Size, bends: Reals) -> None:
    """Write how far the centres of row i's footprints are from their points: ``bends`` (2, W), or (4, W) with 1 where the grid bends, 0 next to long steps."""
    real, height, width = bends.dtype.type, grid.shape[0], grid.shape[1]
    above, here, below = _row(grid, max(i - 1, 0)), _row(grid, i), _row(grid, min(i + 1, height - 1))
    share = real(BEND if 0 < i < height - 1 else 0)
    for n in range(2):
        length = size[1 - n]
        scale, torn, widest = real(length) * real(0.5), real(TORN * length), real(WIDEST * length)
        reach = min(torn, widest / real(width)), min(torn, widest / real(height))
        before, after, up, down = here[n:], here[4 + n :], above[2 + n :], below[2 + n :]
        middle, line = here[2 + n :], bends[n, 1:]
        near = bends[n + bends.shape[0] - 2, 1:]
        for j in range(width - 2):
            x = middle[2 * j]
            left, right = (x - before[2 * j]) * scale, (after[2 * j] - x) * scale
            upper, lower = (x - up[2 * j]) * scale, (down[2 * j] - x) * scale
            bend = (right - left) * real(BEND) + (lower - upper) * share
            is_near = _within(left, right, reach[0]) & _within(upper, lower, reach[1])
            near[j] = real(1) if is_near else real(0)
            line[j] = bend if is_near else real(0)
        for j in (0, width - 1):
            x, beside = here[2 * j + n], here[2 * (min(1, width - 1) if j == 0 else j - 1) + n]
            upper, lower = (x - above[2 * j + n]) * scale, (below[2 * j + n] - x) * scale
            is_near = _within((x - beside) * scale, real(0), reach[0]) & _within(upper, lower, reach[1])
            bends[n + bends.shape[0] - 2, j] = real(1) if is_near else real(0)
            bends[n, j] = (lower - upper) * share if is_near else real(0)


@compiled
@no_type_check
def _within(one: float, other: float, most: float) -> bool:
    """Whether two steps are no longer than that; a NaN is not."""
    return (abs(one) <= most) & (abs(other) <= most)


@compiled
@no_type_check
def _row(grid: Reals, i: int) -> Reals:
    """Return row i of a contiguous grid (H, W, 2) as a flat array, which tells the compiler that x and y alternate."""
    length = 2 * grid.shape[1]
    return grid.reshape(grid.size)[i * length : (i + 1) * length]


@compiled
@no_type_check
def find_steps(grid: Reals, i: int, size: Size, steps: Reals) -> None:
    """Write the steps to the neighbours of each point of row i, in source pixels: ``steps`` (4, W), or all of it (8, W)."""
    real = steps.dtype.type
    half, one = real(0.5), real(1)
    height, width = grid.shape[0], grid.shape[1]
    above, here, below = _row(grid, max(i - 1, 0)), _row(grid, i), _row(grid, min(i + 1, height - 1))
    x_scale, y_scale = real(size[1]) * half, real(size[0]) * half
    share = half if 0 < i < height - 1 else one
    for j in range(width):
        steps[2, j] = (below[2 * j] - above[2 * j]) * (share * x_scale)
        steps[3, j] = (below[2 * j + 1] - above[2 * j + 1]) * (share * y_scale)
    if width > 1:
        right, x_steps, y_steps = here[4:], steps[0, 1:], steps[1, 1:]
        for j in range(width - 2):
            x_steps[j] = (right[2 * j] - here[2 * j]) * (half * x_scale)
            y_steps[j] = (right[2 * j + 1] - here[2 * j + 1]) * (half * y_scale)
        for j in (0, width - 1):
            end = 2 * max(j, 1)
            steps[0, j] = (here[end] - here[end - 2]) * x_scale
            steps[1, j] = (here[end + 1] - here[end - 1]) * y_scale
    for n in range(ALONG):
        length = size[1 - n % 2]
        _keep_near(steps, n, real(TORN * length), real(WIDEST * length) / real(width if n < 2 else height))
    if width == 1:  # one point has no neighbour: it represents the whole length
        steps[0], steps[1] = real(size[1]), real(0)
    if height == 1:
        steps[2], steps[3] = real(0), real(size[0])


@compiled
@no_type_check
def _keep_near(steps: Reals, n: int, torn: float, widest: float) -> None:
    """Set discontinuous steps to zero, and shorten wide ones; if there is room, store which steps were not changed."""
    real = steps.dtype.type
    zero, one = real(0), real(1)
    if steps.shape[0] > ALONG:
        for j in range(steps.shape[1]):
            steps[ALONG + n, j] = one if abs(steps[n, j]) <= min(torn, widest) else zero
    for j in range(steps.shape[1]):
        step = steps[n, j]
        kept = max(-widest, min(widest, step))
        steps[n, j] = kept if abs(step) <= torn else zero


@compiled
@no_type_check
def back_to_steps(steps: Reals, by: Reals) -> None:
    """Convert derivatives ``by`` the five numbers of `Footprint` (8, W) to those with respect to x, y and the four ``steps`` (8, W)."""
    real = by.dtype.type
    zero, half, one, two = real(0), real(0.5), real(1), real(2)
    for j in range(by.shape[1]):
        a_x, a_steep, b_x, b_steep = steps[0, j], steps[1, j], steps[2, j], steps[3, j]
        most = max(real(TINY * TINY), a_steep * a_steep, b_steep * b_steep)
        share_a, share_b = a_steep * a_steep / most, b_steep * b_steep / most
        a_y, b_y = a_steep * (share_a + one) * half, b_steep * (share_b + one) * half
        c_xx, c_yy, c_xy = a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y
        tilt, cross = (c_xx - c_yy) * half, a_x * b_y - a_y * b_x
        radius = math.sqrt(tilt * tilt + c_xy * c_xy)
        large = max(one, (c_xx + c_yy) * half + radius)
        small = cross * cross / large
        kept = (large - one) * half / max(real(TINY), radius)
        yy, xy, full = one + kept * (c_yy - small), kept * c_xy, math.sqrt(large)
        yy, xy, full = (c_yy, c_xy, abs(cross)) if small > one else (yy, xy, full)
        # Derivatives from the box back to its area and its moments.
        down = math.sqrt(yy)
        across, lean = full / down, xy / yy
        by_full, by_xy = by[2, j] / down, by[4, j] / yy
        by_yy = (by[3, j] * down - by[2, j] * across) * half / yy - by_xy * lean
        # If only the large eigenvalue is kept, back to it and to its direction (c, s), which is arbitrary if both are equal.
        cosine = tilt / radius if radius > zero else one
        sine = c_xy / radius if radius > zero else zero
        greater = (one + abs(cosine)) * half
        lesser = sine * sine / (greater * real(4))
        cc, ss = (greater, lesser) if tilt >= zero else (lesser, greater)
        by_large = by_full * half / full + sine * half * by_xy + ss * by_yy
        by_large = by_large if large > one else zero
        by_turn = kept * (sine * by_yy + cosine * by_xy)
        turned = sine * half * by_turn
        of_xx, of_yy, of_xy = (
            cc * by_large - turned,
            ss * by_large + turned,
            sine * by_large + cosine * by_turn,
        )
        by_xx, by_yy, by_xy = (zero, by_yy, by_xy) if small > one else (of_xx, of_yy, of_xy)
        by_cross = by_full if cross > zero else -by_full
        by_cross = by_cross if small > one else zero
        # From C and the area back to the steps.
        by_xx, by_yy = two * by_xx, two * by_yy
        by_a = a_y * by_yy + a_x * by_xy - b_x * by_cross
        by_b = b_y * by_yy + b_x * by_xy + a_x * by_cross
        by[2, j] = (a_x * by_xx + a_y * by_xy + b_y * by_cross) * steps[ALONG, j]
        by[4, j] = (b_x * by_xx + b_y * by_xy - a_y * by_cross) * steps[ALONG + 2, j]
        # From the reduced slopes back: the larger one is as it was, and also decides how much the smaller one is reduced.
        both = a_steep * b_steep / most
        three = real(1.5)
        of_a = by_a - (by_b * share_b * both if share_b < one else zero)
        of_b = by_b - (by_a * share_a * both if share_a < one else zero)
        by[3, j] = (by_a * (half + three * share_a) if share_a < one else of_a) * steps[ALONG + 1, j]
        by[5, j] = (by_b * (half + three * share_b) if share_b < one else of_b) * steps[ALONG + 3, j]
