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
    _, _, _, across, down, lean = _box(a_x, a_y, b_x, b_y)
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
    """Return half the difference of C's diagonal, its other element, and mean and half the difference of its eigenvalues."""
    c_xx, c_yy, c_xy = a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y
    tilt = (c_xx - c_yy) * 0.5
    return tilt, c_xy, (c_xx + c_yy) * 0.5, tl.math.sqrt_rn(tilt * tilt + c_xy * c_xy)


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
    """Return the box's moments xx, yy and xy, and its across, down and lean, of slopes that are flattened."""
    tilt, c_xy, middle, radius = _eigenvalues(a_x, a_y, b_x, b_y)
    large, small = tl.maximum(middle + radius, 1.0), tl.maximum(middle - radius, 1.0)
    kept = _kept(middle, radius)
    mean, xy = (large + small) * 0.5, kept * c_xy
    yy = mean - kept * tilt
    down = tl.math.sqrt_rn(yy)
    across = tl.math.div_rn(tl.math.sqrt_rn(large * small), down)
    return mean + kept * tilt, yy, xy, across, down, tl.math.div_rn(xy, yy)


@triton.jit
@no_type_check
def _kept(middle, radius):
    """Return the kept share of the deviatoric part: 1 if both eigenvalues are kept, 0 if both are raised."""
    large, small = tl.maximum(middle + radius, 1.0), tl.maximum(middle - radius, 1.0)
    partly = tl.math.div_rn((large - small) * 0.5, tl.maximum(radius, _TINY))
    return tl.where(middle - radius > 1, 1.0, partly)


@triton.jit
@no_type_check
def back_to_steps(a_x, a_y, b_x, b_y, by_across, by_down, by_lean):
    """Return the derivatives with respect to the four steps from those with respect to the box."""
    a_steep, b_steep = a_y, b_y
    a_y, b_y = _flattened(a_steep, b_steep)
    xx, yy, xy, across, down, lean = _box(a_x, a_y, b_x, b_y)
    by_area = by_across * 0.5 / (across * yy)
    by_xx = by_area * yy
    by_yy = by_area * xx - by_across * across * 0.5 / yy + by_down * 0.5 / down - by_lean * lean / yy
    by_xy = by_lean / yy - 2 * by_area * xy

    tilt, c_xy, middle, radius = _eigenvalues(a_x, a_y, b_x, b_y)
    # For each eigenvalue, whether it is that of C; the direction of the large one, which is arbitrary if both are equal.
    is_large = tl.where(middle + radius > 1, 0.5, 0.0)
    is_small = tl.where(middle - radius > 1, 0.5, 0.0)
    cosine = tl.where(radius > 0, tilt / tl.maximum(radius, 1e-30), 1.0)
    sine = tl.where(radius > 0, c_xy / tl.maximum(radius, 1e-30), 0.0)
    by_mean, by_tilt = by_xx + by_yy, by_xx - by_yy
    by_radius = by_tilt * cosine + by_xy * sine
    by_turn = _kept(middle, radius) * (by_xy * cosine - by_tilt * sine)
    same, other = is_large + is_small, is_large - is_small
    by_middle = same * by_mean + other * by_radius
    by_radius = other * by_mean + same * by_radius
    by_tilt, by_xy = by_radius * cosine - by_turn * sine, by_radius * sine + by_turn * cosine

    by_xx, by_yy = by_middle + by_tilt, by_middle - by_tilt
    by_a, by_b = a_y * by_yy + a_x * by_xy, b_y * by_yy + b_x * by_xy
    # From the reduced slopes back: the larger one is as it was, and also decides how much the smaller one is reduced.
    share_a, share_b, most = _shares(a_steep, b_steep)
    both = a_steep * b_steep / most
    of_a = by_a - tl.where(share_b < 1, by_b * share_b * both, 0.0)
    of_b = by_b - tl.where(share_a < 1, by_a * share_a * both, 0.0)
    return (
        a_x * by_xx + a_y * by_xy,
        tl.where(share_a < 1, by_a * (0.5 + 1.5 * share_a), of_a),
        b_x * by_xx + b_y * by_xy,
        tl.where(share_b < 1, by_b * (0.5 + 1.5 * share_b), of_b),
    )
