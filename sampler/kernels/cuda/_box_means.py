"""The CUDA kernel of `lowres`: the mean over each cell of an image, in one launch for the whole ragged batch.

Neighbouring threads of a program read neighbouring pixels of a source row.
"""

# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from collections.abc import Sequence
from typing import no_type_check

import triton
import triton.language as tl
from jaxtyping import Float32, UInt8
from torch import Tensor

from foveal.sampler.kernels.cuda._image_table import image_table
from foveal.sampler.kernels.cuda._launch import launch
from foveal.sampler.kernels.cuda._tile import find_image, write_pixels

_CELLS, _SPAN = 4, 32  # a warp reads 32 pixels of a row of one cell at once

_C, _S = tl.constexpr(_CELLS), tl.constexpr(_SPAN)


def box_means_into(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float32[Tensor, "batch 3 height width"]
) -> None:
    """Write ``small``, contiguous, in [0, 1]. It does not wait for the device."""
    whole = [image.contiguous() for image in images]  # kept alive until the launch is enqueued
    batch, _, rows, cols = small.shape
    programs = batch * rows * -(-cols // _CELLS)
    launch(box_mean_kernel, programs, small.device, image_table(whole, small.device), small, rows, cols)


@triton.jit(do_not_specialize=["rows", "cols"])
@no_type_check
def box_mean_kernel(table, small, rows, cols):
    """Write a few cells of one row of ``small`` (batch, 3, rows, cols)."""
    across = tl.cdiv(cols, _C)
    line = tl.program_id(0) // across
    i = line % rows
    batch = (line // rows).to(tl.int64)
    image, height, width = find_image(table, batch)
    wished = tl.program_id(0) % across * _C + tl.arange(0, _C)
    j = tl.minimum(wished, cols - 1)
    left, before_left, right, inside_right = _edges(j, cols, width)
    top, before_top, bottom, inside_bottom = _edges(i, rows, height)

    zero = tl.zeros([_C, _S], tl.float32)
    red, green, blue = zero, zero, zero
    for start in range(0, tl.max(right - left) + 1, _S):
        column = left[:, None] + start + tl.arange(0, _S)[None, :]
        wanted = column <= right[:, None]
        part = tl.where(column == right[:, None], inside_right[:, None], 1.0)
        part -= tl.where(column == left[:, None], before_left[:, None], 0.0)
        offset = 3 * tl.minimum(tl.maximum(column, 0), width - 1)
        for row in range(top, bottom + 1):
            inside = tl.where(row == bottom, inside_bottom, 1.0) - tl.where(row == top, before_top, 0.0)
            beginning = tl.minimum(tl.maximum(row, 0), height - 1).to(tl.int64) * (3 * width)
            place = (image + beginning + offset).to(tl.pointer_type(tl.uint8))
            share = part * inside
            red = tl.fma(share, tl.load(place, mask=wanted, other=0).to(tl.float32), red)
            green = tl.fma(share, tl.load(place + 1, mask=wanted, other=0).to(tl.float32), green)
            blue = tl.fma(share, tl.load(place + 2, mask=wanted, other=0).to(tl.float32), blue)

    area = _length(cols, width) * _length(rows, height)
    write_pixels(
        small + ((batch * 3) * rows + i) * cols + j,
        rows * cols,
        _mean(red, area),
        _mean(green, area),
        _mean(blue, area),
        wished < cols,
    )


@triton.jit
@no_type_check
def _mean(values, area):
    return tl.minimum(tl.math.div_rn(tl.sum(values, 1), 255 * area), 1.0)  # rounding may exceed white


@triton.jit
@no_type_check
def _length(cells, pixels):
    """Return how many pixels long a cell is along one axis: at least one."""
    return tl.maximum(tl.math.div_rn(pixels.to(tl.float32), cells.to(tl.float32)), 1.0)


@triton.jit
@no_type_check
def _edges(cell, cells, pixels):
    """Return for a cell along one axis its first pixel, the part of it that lies outside, its last pixel, and the part of it that lies inside.

    Computed in whole numbers, in units of half of 1 / ``cells`` of a pixel, so that rounding does not move an edge.
    """
    wide, unit = tl.maximum(pixels, cells), (2 * cells).to(tl.int64)
    middle = (2 * cell + 1).to(tl.int64) * pixels
    # Shifted by a pixel, so that nothing is below zero.
    low, high = middle - wide + unit, middle + wide + unit
    first, last = low // unit, high // unit
    before, inside = (low - first * unit).to(tl.float32), (high - last * unit).to(tl.float32)
    real = unit.to(tl.float32)
    first, last = (first - 1).to(tl.int32), (last - 1).to(tl.int32)
    return first, tl.math.div_rn(before, real), last, tl.math.div_rn(inside, real)
