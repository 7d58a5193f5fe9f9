"""The CUDA kernel of anti-aliased `sample`; ``kernels/_footprint.py`` describes what it computes, and ``plain/_antialias.py`` is the reference.

One launch processes the whole ragged batch. Each thread computes an output pixel, and each warp a row of 32, whose
footprints are next to each other in the source. A thread computes its footprint from the neighbouring grid points. It
then goes through source rows, as many as the tallest footprint of its program has, and in each row through the pixels,
two at a time.
"""

# ruff: noqa: PLR0917 - compiled functions take values by place
# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl

from foveal.sampler.kernels.cuda._footprint import footprint
from foveal.sampler.kernels.cuda._pixel_pair import byte, read_pair
from foveal.sampler.kernels.cuda._tile import find_image, find_pixel, write_pixels


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
    """Write all of ``pixels``, and ``slope`` (batch, 5, 3, rows, cols) if asked for, at ``grid`` (batch, rows, cols, 2)."""
    batch, i, j, inside = find_pixel(rows, cols)
    image, height, width = find_image(table, batch)
    x, y, across, down, lean = footprint(
        grid + batch * rows * cols * 2, i, j, rows, cols, height.to(tl.float32), width.to(tl.float32)
    )
    top = y - down * 0.5
    first = tl.floor(top)
    above = top - first  # the part of the first row that is outside
    bottom = above + down
    count = tl.where(inside, 1 + bottom.to(tl.int32), 0)
    left = x - across * 0.5 + lean * (first + 0.5 - y)
    row = first.to(tl.int32)

    zero = tl.zeros_like(x)
    red, red_moved, red_both, red_turned, red_below, red_ends = zero, zero, zero, zero, zero, zero
    green, green_moved, green_both, green_turned, green_below, green_ends = zero, zero, zero, zero, zero, zero
    blue, blue_moved, blue_both, blue_turned, blue_below, blue_ends = zero, zero, zero, zero, zero, zero
    for k in range(tl.max(count)):
        share = tl.where(k + 1 < count, 1.0, bottom - k) - tl.where(k == 0, above, 0.0)
        share = tl.where(k < count, share, 0.0)
        source = image + tl.minimum(tl.maximum(row + k, 0), height - 1).to(tl.int64) * (3 * width)
        red_run, green_run, blue_run, begin, end = _run(source, width, left + k * lean, across, k < count)
        red = tl.fma(share, red_run, red)
        green = tl.fma(share, green_run, green)
        blue = tl.fma(share, blue_run, blue)
        if with_slope:
            is_first = tl.where(k == 0, 1.0, 0.0)
            is_last = tl.where(k + 1 == count, 1.0, 0.0)
            below, ends, turn = is_last - is_first, is_last + is_first, share * (first + 0.5 - y + k)
            first_pixel = read_pair(source + 3 * begin, 1, k < count)
            last_pixel = read_pair(source + 3 * end, 1, k < count)
            change, both = _edges(first_pixel, last_pixel, 0)
            red_moved, red_both = tl.fma(share, change, red_moved), tl.fma(share, both, red_both)
            red_turned = tl.fma(turn, change, red_turned)
            red_below, red_ends = tl.fma(below, red_run, red_below), tl.fma(ends, red_run, red_ends)
            change, both = _edges(first_pixel, last_pixel, 1)
            green_moved, green_both = tl.fma(share, change, green_moved), tl.fma(share, both, green_both)
            green_turned = tl.fma(turn, change, green_turned)
            green_below, green_ends = (
                tl.fma(below, green_run, green_below),
                tl.fma(ends, green_run, green_ends),
            )
            change, both = _edges(first_pixel, last_pixel, 2)
            blue_moved, blue_both = tl.fma(share, change, blue_moved), tl.fma(share, both, blue_both)
            blue_turned = tl.fma(turn, change, blue_turned)
            blue_below, blue_ends = tl.fma(below, blue_run, blue_below), tl.fma(ends, blue_run, blue_ends)

    scale = tl.math.div_rn(1 / 255, down * across)
    write_pixels(
        pixels + batch * by_image + i * by_row + j * by_col,
        by_channel,
        tl.minimum(red * scale, 1.0) * red_scale + red_shift,  # rounding may exceed white
        tl.minimum(green * scale, 1.0) * green_scale + green_shift,
        tl.minimum(blue * scale, 1.0) * blue_scale + blue_shift,
        inside,
    )
    if with_slope:
        plane = rows * cols
        place = slope + batch * 15 * plane + i * cols + j
        _write_slope(place, plane, red, red_moved, red_both, red_turned, red_below, red_ends, scale * red_scale, across, down, lean, inside)  # fmt: skip
        _write_slope(place + plane, plane, green, green_moved, green_both, green_turned, green_below, green_ends, scale * green_scale, across, down, lean, inside)  # fmt: skip
        _write_slope(place + 2 * plane, plane, blue, blue_moved, blue_both, blue_turned, blue_below, blue_ends, scale * blue_scale, across, down, lean, inside)  # fmt: skip


@triton.jit
@no_type_check
def _run(source, width, left, across, wanted):
    """Return the sum over a run in one source row, channel by channel, and its first and its last pixel.

    Beyond the image's border the border pixel is repeated.
    """
    column = tl.minimum(tl.maximum(tl.floor(left).to(tl.int32), 0), width - 1)
    begin = left - column.to(tl.float32)
    end = begin + across
    last = tl.where(wanted, tl.minimum(tl.maximum(end.to(tl.int32), 0), width - 1 - column), 0)
    inside = end - last.to(tl.float32)
    place = source + 3 * column
    zero = tl.zeros_like(left)
    red, green, blue = zero, zero, zero
    for n in range(0, tl.max(last) + 1, 2):
        pair = read_pair(place + 3 * n, tl.minimum(last + 1 - n, 2), wanted & (n <= last))
        part = tl.where(n < last, 1.0, tl.where(n == last, inside, 0.0)) - tl.where(n == 0, begin, 0.0)
        next_part = tl.where(n + 1 < last, 1.0, tl.where(n + 1 == last, inside, 0.0))
        red = tl.fma(part, byte(pair, 0).to(tl.float32), tl.fma(next_part, byte(pair, 3).to(tl.float32), red))
        green = tl.fma(
            part, byte(pair, 1).to(tl.float32), tl.fma(next_part, byte(pair, 4).to(tl.float32), green)
        )
        blue = tl.fma(
            part, byte(pair, 2).to(tl.float32), tl.fma(next_part, byte(pair, 5).to(tl.float32), blue)
        )
    return red, green, blue, column, column + last


@triton.jit
@no_type_check
def _edges(first, last, channel: tl.constexpr):
    """Return the right edge of a run minus the left one, and their sum."""
    left, right = byte(first, channel).to(tl.float32), byte(last, channel).to(tl.float32)
    return right - left, right + left


@triton.jit
@no_type_check
def _write_slope(place, plane, total, moved, both, turned, below, ends, scale, across, down, lean, inside):
    """Write one channel's derivatives with respect to the five numbers of ``Footprint``, from ``place`` on, three planes apart."""
    tl.store(place, moved * scale, mask=inside)
    tl.store(place + 3 * plane, (below - lean * moved) * scale, mask=inside)
    tl.store(place + 6 * plane, (both * 0.5 - tl.math.div_rn(total, across)) * scale, mask=inside)
    tl.store(place + 9 * plane, (ends * 0.5 - tl.math.div_rn(total, down)) * scale, mask=inside)
    tl.store(place + 12 * plane, turned * scale, mask=inside)
