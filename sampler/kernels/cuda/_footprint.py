"""An output pixel's footprint for the CUDA kernels, as in ``kernels/_footprint.py``, and the derivatives from it back to the grid."""

# ruff: noqa: PLR0917 - compiled functions take values by place
# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl

from foveal.sampler.kernels._footprint import BEND, FAR, TINY, TORN, WIDEST

_FAR, _TORN, _WIDEST = tl.constexpr(FAR), tl.constexpr(TORN), tl.constexpr(WIDEST)
_BEND, _TINY = tl.constexpr(BEND), tl.constexpr(TINY)


@triton.jit
@no_type_check
def read_point(grid, i, j, cols):
    """Return x and y of point (i, j) of one image's grid."""
    place = grid + 2 * (i * cols + j)
    return tl.load(place), tl.load(place + 1)


@triton.jit
@no_type_check
def _bounded(step, length, count):
    """Return a step, set to zero if the grid is discontinuous there, and shortened to the widest."""
    widest = length * _WIDEST / count.to(tl.float32)
    held = tl.minimum(tl.maximum(step, -widest), widest)
    return tl.where(tl.abs(step) <= length * _TORN, held, 0.0)  # not of NaN, either


@triton.jit
@no_type_check
def steps_raw(grid, i, j, rows, cols, height, width):
    """Return the steps from the left to the right neighbour of point (i, j), halved, and from the upper to the lower one."""
    left_x, left_y = read_point(grid, i, tl.maximum(j - 1, 0), cols)
    right_x, right_y = read_point(grid, i, tl.minimum(j + 1, cols - 1), cols)
    above_x, above_y = read_point(grid, tl.maximum(i - 1, 0), j, cols)
    below_x, below_y = read_point(grid, tl.minimum(i + 1, rows - 1), j, cols)
    along = tl.where((j > 0) & (j < cols - 1), 0.5, 1.0)
    down = tl.where((i > 0) & (i < rows - 1), 0.5, 1.0)
    return (
        (right_x - left_x) * along * (width * 0.5),
        (right_y - left_y) * along * (height * 0.5),
        (below_x - above_x) * down * (width * 0.5),
        (below_y - above_y) * down * (height * 0.5),
    )


@triton.jit
@no_type_check
def steps(grid, i, j, rows, cols, height, width):
    """Return the bounded steps at point (i, j): x and y per column, x and y per row."""
    a_x, a_y, b_x, b_y = steps_raw(grid, i, j, rows, cols, height, width)
    # One point has no neighbour: it represents the whole length.
    return (
        tl.where(cols > 1, _bounded(a_x, width, cols), width),
        _bounded(a_y, height, cols),
        _bounded(b_x, width, rows),
        tl.where(rows > 1, _bounded(b_y, height, rows), height),
    )


@triton.jit
@no_type_check
def is_free(step, length, count):
    """Return 1 if a step is the grid's own, 0 if it was bounded."""
    return tl.where(
        tl.abs(step) <= tl.minimum(length * _WIDEST / count.to(tl.float32), length * _TORN), 1.0, 0.0
    )


@triton.jit
@no_type_check
def _position(coordinate, length):
    position = (coordinate + 1) * (length * 0.5)
    position = tl.where(position > length * -_FAR, position, length * -_FAR)  # NaN goes to pixel 0
    return tl.minimum(position, length * _FAR)


@triton.jit
@no_type_check
def footprint(grid, i, j, rows, cols, height, width):
    """Return x, y, across, down and lean of ``Footprint`` at point (i, j) of a grid (rows, cols, 2)."""
    a_x, a_y, b_x, b_y = steps(grid, i, j, rows, cols, height, width)
    a_y, b_y = _flattened(a_y, b_y)
    _, _, across, down, lean = _box(a_x, a_y, b_x, b_y)
    x, y = read_point(grid, i, j, cols)
    x = _position(x, width) + bend(grid, i, j, rows, cols, width, 0)
    y = _position(y, height) + bend(grid, i, j, rows, cols, height, 1)
    return x, y, across, down, lean


@triton.jit
@no_type_check
def bend(grid, i, j, rows, cols, length, axis):
    """Return how far the mean of x (axis 0) or y (axis 1) over an output pixel is from its point."""
    left, right, above, below, inner_col, inner_row = _sides(grid, i, j, rows, cols, length, axis)
    bent = (right - left) * inner_col + (below - above) * inner_row
    return tl.where(does_bend(grid, i, j, rows, cols, length, axis) > 0, bent * _BEND, 0.0)


@triton.jit
@no_type_check
def does_bend(grid, i, j, rows, cols, length, axis):
    """Return 1 if none of the four steps to the neighbours is too long, 0 otherwise."""
    left, right, above, below, _, _ = _sides(grid, i, j, rows, cols, length, axis)
    near = is_free(left, length, cols) * is_free(right, length, cols)
    return near * is_free(above, length, rows) * is_free(below, length, rows)


@triton.jit
@no_type_check
def _sides(grid, i, j, rows, cols, length, axis):
    """Return the steps from the left, to the right, from above and to below, and 1 if the point has both neighbours in its row, and in its column."""
    scale, plane = length * 0.5, grid + axis
    here = tl.load(plane + 2 * (i * cols + j))
    left = (here - tl.load(plane + 2 * (i * cols + tl.maximum(j - 1, 0)))) * scale
    right = (tl.load(plane + 2 * (i * cols + tl.minimum(j + 1, cols - 1))) - here) * scale
    above = (here - tl.load(plane + 2 * (tl.maximum(i - 1, 0) * cols + j))) * scale
    below = (tl.load(plane + 2 * (tl.minimum(i + 1, rows - 1) * cols + j)) - here) * scale
    inner_col, inner_row = (j > 0) & (j < cols - 1), (i > 0) & (i < rows - 1)
    return left, right, above, below, inner_col.to(tl.float32), inner_row.to(tl.float32)


@triton.jit
@no_type_check
def _eigenvalues(a_x, a_y, b_x, b_y):
    """Return half the difference of C's diagonal, c_yy, c_xy, half the difference of its eigenvalues, the large one raised, the small one, and a x b."""
    c_xx, c_yy, c_xy = a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y
    tilt, cross = (c_xx - c_yy) * 0.5, a_x * b_y - a_y * b_x
    radius = tl.math.sqrt_rn(tilt * tilt + c_xy * c_xy)
    large = tl.maximum((c_xx + c_yy) * 0.5 + radius, 1.0)
    return tilt, c_yy, c_xy, radius, large, tl.math.div_rn(cross * cross, large), cross


@triton.jit
@no_type_check
def _shares(a_y, b_y):
    """Return the squares of two slopes as shares of the larger one."""
    most = tl.maximum(tl.maximum(a_y * a_y, b_y * b_y), _TINY * _TINY)
    return tl.math.div_rn(a_y * a_y, most), tl.math.div_rn(b_y * b_y, most), most


@triton.jit
@no_type_check
def _flattened(a_y, b_y):
    """Reduce the smaller of two slopes, to half if it is much smaller than the other."""
    share_a, share_b, _ = _shares(a_y, b_y)
    return a_y * (share_a + 1) * 0.5, b_y * (share_b + 1) * 0.5


@triton.jit
@no_type_check
def _box(a_x, a_y, b_x, b_y):
    """Return the box's area, its moment yy, and its across, down and lean, of slopes that are flattened."""
    _, c_yy, c_xy, radius, large, small, cross = _eigenvalues(a_x, a_y, b_x, b_y)
    kept = _kept(large, radius)
    yy = tl.where(small > 1, c_yy, 1 + kept * (c_yy - small))
    xy = tl.where(small > 1, c_xy, kept * c_xy)
    down = tl.math.sqrt_rn(yy)
    full = tl.where(small > 1, tl.abs(cross), tl.math.sqrt_rn(large))
    return full, yy, tl.math.div_rn(full, down), down, tl.math.div_rn(xy, yy)


@triton.jit
@no_type_check
def _kept(large, radius):
    """Return the share of the deviatoric part that is kept if the small eigenvalue is raised: 0 if both are."""
    return tl.math.div_rn((large - 1) * 0.5, tl.maximum(radius, _TINY))


@triton.jit
@no_type_check
def back_to_steps(a_x, a_y, b_x, b_y, by_across, by_down, by_lean):
    """Return the derivatives with respect to the four steps from those with respect to the box."""
    a_steep, b_steep = a_y, b_y
    a_y, b_y = _flattened(a_steep, b_steep)
    full, yy, across, down, lean = _box(a_x, a_y, b_x, b_y)
    by_full, by_xy = by_across / down, by_lean / yy
    by_yy = (by_down * down - by_across * across) * 0.5 / yy - by_xy * lean

    # If only the large eigenvalue is kept, back to it and to its direction (c, s), which is arbitrary if both are equal.
    tilt, _, c_xy, radius, large, small, cross = _eigenvalues(a_x, a_y, b_x, b_y)
    cosine = tl.where(radius > 0, tilt / tl.maximum(radius, 1e-30), 1.0)
    sine = tl.where(radius > 0, c_xy / tl.maximum(radius, 1e-30), 0.0)
    greater = (1 + tl.abs(cosine)) * 0.5
    lesser = sine * sine / (greater * 4)
    cc, ss = tl.where(tilt >= 0, greater, lesser), tl.where(tilt >= 0, lesser, greater)
    by_large = tl.where(large > 1, by_full * 0.5 / full + sine * 0.5 * by_xy + ss * by_yy, 0.0)
    by_turn = _kept(large, radius) * (sine * by_yy + cosine * by_xy)
    turned = sine * 0.5 * by_turn
    by_xx = 2 * tl.where(small > 1, 0.0, cc * by_large - turned)
    by_yy = 2 * tl.where(small > 1, by_yy, ss * by_large + turned)
    by_xy = tl.where(small > 1, by_xy, sine * by_large + cosine * by_turn)
    by_cross = tl.where(small > 1, tl.where(cross > 0, by_full, -by_full), 0.0)
    by_a = a_y * by_yy + a_x * by_xy - b_x * by_cross
    by_b = b_y * by_yy + b_x * by_xy + a_x * by_cross
    # From the reduced slopes back: the larger one is as it was, and also decides how much the smaller one is reduced.
    share_a, share_b, most = _shares(a_steep, b_steep)
    both = a_steep * b_steep / most
    of_a = by_a - tl.where(share_b < 1, by_b * share_b * both, 0.0)
    of_b = by_b - tl.where(share_a < 1, by_a * share_a * both, 0.0)
    return (
        a_x * by_xx + a_y * by_xy + b_y * by_cross,
        tl.where(share_a < 1, by_a * (0.5 + 1.5 * share_a), of_a),
        b_x * by_xx + b_y * by_xy - a_y * by_cross,
        tl.where(share_b < 1, by_b * (0.5 + 1.5 * share_b), of_b),
    )
