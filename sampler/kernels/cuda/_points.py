"""The CUDA kernel of `sample` for points, as in ``plain/_sample.py``; one launch processes the whole ragged batch."""

# ruff: noqa: PLR0917 - compiled functions take values by place
# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl

from foveal.sampler.kernels.cuda._footprint import read_point
from foveal.sampler.kernels.cuda._pixel_pair import byte, read_pair
from foveal.sampler.kernels.cuda._tile import find_image, find_pixel, write_pixels, write_slope


@triton.jit(do_not_specialize=["rows", "cols", "by_image", "by_channel", "by_row", "by_col"])
@no_type_check
def sample_kernel(
    table,
    grid,
    pixels,
    slope,
    rows,
    cols,
    by_image,
    by_channel,
    by_row,
    by_col,
    red_scale,
    green_scale,
    blue_scale,
    red_shift,
    green_shift,
    blue_shift,
    with_slope: tl.constexpr,
):
    """Write all of ``pixels``, and ``slope`` (batch, 2, 3, rows, cols) if asked for, at ``grid`` (batch, rows, cols, 2)."""
    batch, i, j, inside = find_pixel(rows, cols)
    image, height, width = find_image(table, batch)
    x, y = read_point(grid + batch * rows * cols * 2, i, j, cols)
    left, right_share, x_rate = _between(x, width)
    top, low_share, y_rate = _between(y, height)
    columns = tl.minimum(width, 2)
    above = image + top.to(tl.int64) * (3 * width) + 3 * left
    below = above + 3 * width * (top + 1 < height).to(tl.int64)
    upper, lower = read_pair(above, columns, inside), read_pair(below, columns, inside)
    red, red_x, red_y = _blend(upper, lower, 0, right_share, low_share)
    green, green_x, green_y = _blend(upper, lower, 1, right_share, low_share)
    blue, blue_x, blue_y = _blend(upper, lower, 2, right_share, low_share)
    write_pixels(
        pixels + batch * by_image + i * by_row + j * by_col,
        by_channel,
        red * red_scale + red_shift,
        green * green_scale + green_shift,
        blue * blue_scale + blue_shift,
        inside,
    )
    if with_slope:
        write_slope(
            slope + batch * 6 * rows * cols + i * cols + j,
            rows * cols,
            red_x * x_rate * red_scale,
            green_x * x_rate * green_scale,
            blue_x * x_rate * blue_scale,
            red_y * y_rate * red_scale,
            green_y * y_rate * green_scale,
            blue_y * y_rate * blue_scale,
            inside,
        )


@triton.jit
@no_type_check
def _between(coordinate, length):
    """Return the first of the two pixels around a coordinate, the part of the way to the second, and pixels per unit.

    At the far border they are the last two pixels, with a share of 1, so that there always is a pair to read.
    """
    real = length.to(tl.float32)
    position = ((coordinate + 1) * real - 1) * 0.5
    free = (position > 0) & (position < real - 1)
    position = tl.minimum(tl.where(position > 0, position, 0.0), real - 1)  # NaN goes to 0
    before = tl.minimum(position.to(tl.int32), tl.maximum(length - 2, 0))
    return before, position - before.to(tl.float32), tl.where(free, real * 0.5, 0.0)


@triton.jit
@no_type_check
def _blend(upper, lower, channel: tl.constexpr, right_share, low_share):
    """Return a channel's value in [0, 1], and how it changes per pixel to the right and down."""
    top, bottom = byte(upper, channel).to(tl.float32), byte(lower, channel).to(tl.float32)
    top_step = byte(upper, channel + 3).to(tl.float32) - top
    bottom_step = byte(lower, channel + 3).to(tl.float32) - bottom
    top = tl.fma(right_share, top_step, top)
    bottom = tl.fma(right_share, bottom_step, bottom)
    value = tl.fma(low_share, bottom - top, top)
    by_x = tl.fma(low_share, bottom_step - top_step, top_step)
    return value * (1 / 255), by_x * (1 / 255), (bottom - top) * (1 / 255)
