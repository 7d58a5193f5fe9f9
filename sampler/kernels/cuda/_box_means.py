"""The CUDA kernel of `lowres`: the box means of ``cpu/_box_mean.py``, in one launch for the whole ragged batch."""

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
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    small: Float32[Tensor, "batch 3 height width"],
    least: int,
) -> None:
    """Write those of ``small``, contiguous, in [0, 1], whose image is at least ``least`` times as high and as wide.

    The others stay as they are. Nothing waits for the device.
    """
    whole = [image.contiguous() for image in images]  # held until the launch is enqueued
    batch, _, rows, cols = small.shape
    programs = batch * rows * -(-cols // _CELLS)
    arguments = image_table(whole, small.device), small, rows, cols, least
    launch(box_mean_kernel, programs, small.device, *arguments)


@triton.jit(do_not_specialize=["rows", "cols", "least"])
@no_type_check
def box_mean_kernel(table, small, rows, cols, least):
    """Write a few cells of one row of ``small`` (batch, 3, rows, cols): sums of eight source rows, exact, in integers."""
    across = tl.cdiv(cols, _C)
    line = tl.program_id(0) // across
    i = line % rows
    batch = (line // rows).to(tl.int64)
    image, height, width = find_image(table, batch)
    if (height >= least * rows) & (width >= least * cols):
        wished = tl.program_id(0) % across * _C + tl.arange(0, _C)
        j = tl.minimum(wished, cols - 1)
        left, right = _edges(j, cols, width)
        top, bottom = _edges(i, rows, height)

        zero = tl.zeros([_C, _S], tl.int32)
        red, green, blue = zero, zero, zero
        for start in range(0, tl.max(right - left), _S):
            column = left[:, None] + start + tl.arange(0, _S)[None, :]
            wanted = column < right[:, None]
            for part in tl.static_range(1, 16, 2):
                row = top + (part * (bottom - top)) // 16
                place = (image + row.to(tl.int64) * (3 * width) + 3 * column).to(tl.pointer_type(tl.uint8))
                red += tl.load(place, mask=wanted, other=0).to(tl.int32)
                green += tl.load(place + 1, mask=wanted, other=0).to(tl.int32)
                blue += tl.load(place + 2, mask=wanted, other=0).to(tl.int32)

        count = (8 * 255 * (right - left)).to(tl.float32)
        write_pixels(
            small + ((batch * 3) * rows + i) * cols + j,
            rows * cols,
            _mean(red, count),
            _mean(green, count),
            _mean(blue, count),
            wished < cols,
        )


@triton.jit
@no_type_check
def _mean(values, count):
    return tl.math.div_rn(tl.sum(values, 1).to(tl.float32), count)


@triton.jit
@no_type_check
def _edges(cell, cells, length):
    """Return the first of a cell's pixels, and that of the next cell, along one axis."""
    real = cell.to(tl.int64) * length
    return (real // cells).to(tl.int32), ((real + length) // cells).to(tl.int32)
