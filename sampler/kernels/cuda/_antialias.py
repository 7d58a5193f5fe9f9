"""The CUDA kernel of anti-aliased `sample`; ``kernels/_footprint.py`` says what it computes, ``plain/_antialias.py`` spells it out.

One launch takes the whole ragged batch. A thread has an output pixel and a warp a row of 32, whose footprints follow
each other in the source. A thread finds its footprint from the neighbouring grid points, and goes through its source
rows, as many as the tallest footprint of its program has, and in each through its cells.
"""

# ruff: noqa: PLR0917 - compiled functions take values by place
# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl

from foveal.sampler.kernels._footprint import READ_CELLS
from foveal.sampler.kernels.cuda._footprint import cells, footprint
from foveal.sampler.kernels.cuda._pixel_pair import byte, read_pair
from foveal.sampler.kernels.cuda._tile import find_image, find_pixel, write_pixels, write_slope

_READ_CELLS = tl.constexpr(READ_CELLS)


@triton.jit(do_not_specialize=["rows", "cols", "by_image", "by_channel", "by_row", "by_col"])
@no_type_check
def antialias_kernel(
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
    tall, wide = height.to(tl.float32), width.to(tl.float32)
    x, y, across, down, lean = footprint(grid + batch * rows * cols * 2, i, j, rows, cols, tall, wide)
    row_stride, row_shift, first_row, _ = cells(down, 1)
    col_stride, col_shift, first_col, col_pixels = cells(across, 2)
    rows_apart, cols_apart = row_stride.to(tl.float32), col_stride.to(tl.float32)

    top = tl.math.div_rn(y - row_shift, rows_apart) - tl.math.div_rn(down, rows_apart) * 0.5
    cell = tl.floor(top)
    top -= cell
    bottom = top + tl.math.div_rn(down, rows_apart)
    row = cell.to(tl.int32) * row_stride + first_row
    count = tl.where(inside, 1 + bottom.to(tl.int32), 0)

    long = tl.math.div_rn(across, cols_apart)
    middle = x - col_shift + lean * (row.to(tl.float32) + 0.5 - y)
    left = tl.math.div_rn(middle, cols_apart) - long * 0.5
    left_step = tl.math.div_rn(lean * rows_apart, cols_apart)

    zero = tl.zeros_like(x)
    red, red_x, red_y = zero, zero, zero
    green, green_x, green_y = zero, zero, zero
    blue, blue_x, blue_y = zero, zero, zero
    for k in range(tl.max(count)):
        share = tl.where(k + 1 < count, 1.0, bottom - k) - tl.where(k == 0, top, 0.0)
        source = image + tl.minimum(tl.maximum(row + k * row_stride, 0), height - 1).to(tl.int64) * (
            3 * width
        )
        red_run, green_run, blue_run, red_edge, green_edge, blue_edge = _run(
            source,
            width,
            left + k * left_step,
            long,
            col_stride,
            first_col,
            col_pixels,
            k < count,
            with_slope,
        )
        share = tl.where(k < count, share, 0.0)
        red = tl.fma(share, red_run, red)
        green = tl.fma(share, green_run, green)
        blue = tl.fma(share, blue_run, blue)
        if with_slope:
            change = tl.where(k + 1 == count, 1.0, 0.0) - tl.where(k == 0, 1.0, 0.0)
            red_x, red_y = tl.fma(share, red_edge, red_x), tl.fma(change, red_run, red_y)
            green_x, green_y = tl.fma(share, green_edge, green_x), tl.fma(change, green_run, green_y)
            blue_x, blue_y = tl.fma(share, blue_edge, blue_x), tl.fma(change, blue_run, blue_y)

    scale = tl.math.div_rn(1 / (2 * 255), down * across)  # a cell is read as two pixels
    mean_scale = scale * rows_apart * cols_apart
    write_pixels(
        pixels + batch * by_image + i * by_row + j * by_col,
        by_channel,
        tl.minimum(red * mean_scale, 1.0) * red_scale + red_shift,  # white may be rounded up
        tl.minimum(green * mean_scale, 1.0) * green_scale + green_shift,
        tl.minimum(blue * mean_scale, 1.0) * blue_scale + blue_shift,
        inside,
    )
    if with_slope:
        x_scale, y_scale = scale * rows_apart, scale * cols_apart
        red_x, green_x, blue_x = red_x * x_scale, green_x * x_scale, blue_x * x_scale
        write_slope(
            slope + batch * 6 * rows * cols + i * cols + j,
            rows * cols,
            red_x * (wide * 0.5) * red_scale,
            green_x * (wide * 0.5) * green_scale,
            blue_x * (wide * 0.5) * blue_scale,
            (red_y * y_scale - lean * red_x) * (tall * 0.5) * red_scale,
            (green_y * y_scale - lean * green_x) * (tall * 0.5) * green_scale,
            (blue_y * y_scale - lean * blue_x) * (tall * 0.5) * blue_scale,
            inside,
        )


@triton.jit
@no_type_check
def _run(source, width, left, long, stride, first, pixels, wanted, with_slope: tl.constexpr):
    """Return for each channel twice the sum over the cells of one source row, and how it changes with a cell's way on."""
    cell = tl.floor(left)
    begin = left - cell
    end = begin + long
    last = end.to(tl.int32)
    column = cell.to(tl.int32) * stride + first
    zero = tl.zeros_like(left)
    red, green, blue = zero, zero, zero
    red_edge, green_edge, blue_edge = zero, zero, zero
    for n in tl.static_range(_READ_CELLS):
        at = tl.minimum(tl.maximum(column, 0), tl.maximum(width - 2, 0))
        pair = read_pair(source + 3 * at, tl.minimum(width, 2), wanted & (n <= last))
        # Of the two pixels at hand, how often each counts: beyond the border, and where a cell is one pixel, one does twice.
        second = (tl.minimum(column, width - 1) > at).to(tl.int32)
        second += (tl.minimum(column + pixels - 1, width - 1) > at).to(tl.int32)
        red_cell = ((2 - second) * byte(pair, 0) + second * byte(pair, 3)).to(tl.float32)
        green_cell = ((2 - second) * byte(pair, 1) + second * byte(pair, 4)).to(tl.float32)
        blue_cell = ((2 - second) * byte(pair, 2) + second * byte(pair, 5)).to(tl.float32)
        part = tl.minimum(tl.maximum(end - n, 0.0), 1.0)
        change = tl.where(n == last, 1.0, 0.0)
        if n == 0:
            part -= begin
            change -= 1.0
        red, green, blue = (
            tl.fma(part, red_cell, red),
            tl.fma(part, green_cell, green),
            tl.fma(part, blue_cell, blue),
        )
        if with_slope:
            red_edge = tl.fma(change, red_cell, red_edge)
            green_edge = tl.fma(change, green_cell, green_edge)
            blue_edge = tl.fma(change, blue_cell, blue_edge)
        column += stride
    return red, green, blue, red_edge, green_edge, blue_edge
