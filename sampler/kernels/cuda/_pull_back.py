"""The CUDA kernel of `sample`'s way back to the grid: a multiply and a sum over the channels."""

# ruff: noqa: PLR0917 - compiled functions take values by place
# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl

from foveal.sampler.kernels.cuda._tile import find_pixel


@triton.jit(do_not_specialize=["rows", "cols", "by_image", "by_channel", "by_row", "by_col"])
@no_type_check
def pull_back_kernel(by_pixels, slope, by_grid, rows, cols, by_image, by_channel, by_row, by_col):
    """Write ``by_grid`` (batch, rows, cols, 2) from ``by_pixels`` (batch, 3, rows, cols) and ``slope`` (batch, 2, 3, rows, cols)."""
    batch, i, j, inside = find_pixel(rows, cols)
    plane = rows * cols
    weight = by_pixels + batch * by_image + i * by_row + j * by_col
    step = slope + batch * 6 * plane + i * cols + j
    by_x, by_y = tl.zeros_like(i).to(tl.float32), tl.zeros_like(i).to(tl.float32)
    for channel in tl.static_range(3):
        value = tl.load(weight + channel * by_channel).to(tl.float32)
        by_x = tl.fma(value, tl.load(step + channel * plane), by_x)
        by_y = tl.fma(value, tl.load(step + (channel + 3) * plane), by_y)
    place = by_grid + 2 * (batch * plane + i * cols + j)
    tl.store(place, by_x, mask=inside)
    tl.store(place + 1, by_y, mask=inside)
