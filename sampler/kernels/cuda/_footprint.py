"""An output pixel's footprint and lattice for the CUDA kernel, as ``kernels/_footprint.py`` has them, operation by operation.

Root and quotient are those that round correctly, and what launches leaves multiplications and additions apart: so the
footprints are those of the CPU to the bit, and no rounding decides otherwise which pixels are read.
"""

# ruff: noqa: PLR0917 - compiled functions take values by place
# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl

from foveal.sampler.kernels._footprint import MOST_CELLS

_SHARE = tl.constexpr(1 / MOST_CELLS)


@triton.jit
@no_type_check
def read_point(grid, i, j, cols):
    """Return x and y of point (i, j) of one image's grid."""
    place = grid + 2 * (i * cols + j)
    return tl.load(place), tl.load(place + 1)


@triton.jit
@no_type_check
def _step(ahead, behind, share, length):
    step = (ahead - behind) * share * (length * 0.5)
    return tl.where(
        tl.abs(step) <= 2 * length, step, 0.0
    )  # what is longer, or NaN, says nothing of a footprint


@triton.jit
@no_type_check
def _position(coordinate, length):
    position = (coordinate + 1) * (length * 0.5)
    position = tl.where(position > -4 * length, position, -4 * length)  # NaN goes to pixel 0
    return tl.minimum(position, 4 * length)


@triton.jit
@no_type_check
def footprint(grid, i, j, rows, cols, height, width):
    """Return x, y, across, down and lean of ``Footprint`` at point (i, j) of a grid (rows, cols, 2)."""
    left_x, left_y = read_point(grid, i, tl.maximum(j - 1, 0), cols)
    right_x, right_y = read_point(grid, i, tl.minimum(j + 1, cols - 1), cols)
    above_x, above_y = read_point(grid, tl.maximum(i - 1, 0), j, cols)
    below_x, below_y = read_point(grid, tl.minimum(i + 1, rows - 1), j, cols)
    along = tl.where((j > 0) & (j < cols - 1), 0.5, 1.0)
    a_x = tl.where(cols > 1, _step(right_x, left_x, along, width), width)
    a_y = _step(right_y, left_y, along, height)  # of one point alone: zero
    along = tl.where((i > 0) & (i < rows - 1), 0.5, 1.0)
    b_x = _step(below_x, above_x, along, width)
    b_y = tl.where(rows > 1, _step(below_y, above_y, along, height), height)
    across, down, lean = _shape(a_x, a_y, b_x, b_y)
    x, y = read_point(grid, i, j, cols)
    return _position(x, width), _position(y, height), across, down, lean


@triton.jit
@no_type_check
def _shape(a_x, a_y, b_x, b_y):
    c_xx, c_yy, c_xy = a_x * a_x + b_x * b_x, a_y * a_y + b_y * b_y, a_x * a_y + b_x * b_y
    tilt, middle = (c_xx - c_yy) * 0.5, (c_xx + c_yy) * 0.5
    radius = tl.math.sqrt_rn(tilt * tilt + c_xy * c_xy)
    large, small = tl.maximum(middle + radius, 1.0), tl.maximum(middle - radius, 1.0)
    kept = tl.math.div_rn((large - small) * 0.5, tl.maximum(radius, 1e-12))
    c_yy, c_xy = (large + small) * 0.5 - kept * tilt, kept * c_xy
    down = tl.math.sqrt_rn(c_yy)
    return tl.math.div_rn(tl.math.sqrt_rn(large * small), down), down, tl.math.div_rn(c_xy, c_yy)


@triton.jit
@no_type_check
def cells(length, most_pixels: tl.constexpr):
    """Return a lattice's stride, shift, first pixel and number of pixels (of a cell) under footprints of this length."""
    stride = 1 + (length * _SHARE).to(tl.int32)
    pixels = tl.minimum(stride, most_pixels)
    first = (stride - pixels) >> 1
    shift = first.to(tl.float32) + pixels.to(tl.float32) * 0.5 - stride.to(tl.float32) * 0.5
    return stride, shift, first, pixels
