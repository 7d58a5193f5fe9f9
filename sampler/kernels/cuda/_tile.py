"""The output pixels of a program of the CUDA kernels, and how it writes them.

A program has ``TILE_ROWS`` x ``TILE_COLS`` pixels of one image: each warp has one row, because neighbours in the output
mostly are neighbours in the source.
"""

# ruff: noqa: PLR0917 - compiled functions take values by place
# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl

TILE_ROWS, TILE_COLS = 4, 32

_ROWS, _COLS = tl.constexpr(TILE_ROWS), tl.constexpr(TILE_COLS)


def programs(batch: int, rows: int, cols: int) -> int:
    """Number of programs for outputs of this size, with 128 threads each."""
    return batch * -(-rows // TILE_ROWS) * -(-cols // TILE_COLS)


@triton.jit
@no_type_check
def find_pixel(rows, cols):
    """Return the image's number (int64), rows and columns of this program's pixels, and whether they are inside the output.

    For pixels outside, row and column are those of the last pixel inside.
    """
    across = tl.cdiv(cols, _COLS)
    tiles = tl.cdiv(rows, _ROWS) * across
    tile = tl.program_id(0) % tiles
    thread = tl.arange(0, _ROWS * _COLS)
    i = tile // across * _ROWS + thread // _COLS
    j = tile % across * _COLS + thread % _COLS
    batch = (tl.program_id(0) // tiles).to(tl.int64)
    return batch, tl.minimum(i, rows - 1), tl.minimum(j, cols - 1), (i < rows) & (j < cols)


@triton.jit
@no_type_check
def find_image(table, batch):
    """Return the address of image number ``batch``, its height and its width."""
    entry = table + 3 * batch
    return tl.load(entry), tl.load(entry + 1).to(tl.int32), tl.load(entry + 2).to(tl.int32)


@triton.jit
@no_type_check
def write_pixels(place, by_channel, red, green, blue, inside):
    """Write three channels from ``place`` on, in the type of the memory."""
    tl.store(place, red, mask=inside)
    tl.store(place + by_channel, green, mask=inside)
    tl.store(place + 2 * by_channel, blue, mask=inside)


@triton.jit
@no_type_check
def write_slope(place, plane, red_x, green_x, blue_x, red_y, green_y, blue_y, inside):
    """Write six planes from ``place`` on: the channels by x, then by y."""
    write_pixels(place, plane, red_x, green_x, blue_x, inside)
    write_pixels(place + 3 * plane, plane, red_y, green_y, blue_y, inside)
