"""The CUDA kernels of the backward pass of `sample` to the grid: from the pixels by their derivatives, and from the footprints."""

# ruff: noqa: PLR0917 - compiled functions take values by place
# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl

from foveal.sampler.kernels._footprint import BEND
from foveal.sampler.kernels.cuda._footprint import back_to_steps, does_bend, is_free, steps, steps_raw
from foveal.sampler.kernels.cuda._tile import find_pixel

NUMBERS = 8  # of a point: by x, by y, by the four steps, and by x and y times the share of its bends
_N, _BEND = tl.constexpr(NUMBERS), tl.constexpr(BEND)


@triton.jit(do_not_specialize=["rows", "cols", "by_image", "by_channel", "by_row", "by_col"])
@no_type_check
def pull_back_kernel(by_pixels, slope, by_grid, rows, cols, by_image, by_channel, by_row, by_col):
    """Write ``by_grid`` (batch, rows, cols, 2) from ``by_pixels`` (batch, 3, rows, cols) and ``slope`` (batch, 2, 3, rows, cols)."""
    batch, i, j, inside = find_pixel(rows, cols)
    plane = rows * cols
    weight = by_pixels + batch * by_image + i * by_row + j * by_col
    step = slope + batch * 6 * plane + i * cols + j
    place = by_grid + 2 * (batch * plane + i * cols + j)
    tl.store(place, _over_channels(weight, by_channel, step, plane), mask=inside)
    tl.store(place + 1, _over_channels(weight, by_channel, step + 3 * plane, plane), mask=inside)


@triton.jit(do_not_specialize=["rows", "cols", "by_image", "by_channel", "by_row", "by_col"])
@no_type_check
def by_steps_kernel(
    by_pixels, slope, grid, sizes, by_steps, rows, cols, by_image, by_channel, by_row, by_col
):
    """Write ``by_steps`` (batch, 8, rows, cols): by x, y, the steps and the bends of each point of ``grid`` (batch, rows, cols, 2).

    ``by_pixels`` (batch, 3, rows, cols); ``slope`` (batch, 5, 3, rows, cols), by the footprints; ``sizes`` (batch, 2), of the
    sources. All in source pixels.
    """
    batch, i, j, inside = find_pixel(rows, cols)
    plane = rows * cols
    weight = by_pixels + batch * by_image + i * by_row + j * by_col
    step = slope + batch * 15 * plane + i * cols + j
    by_x = _over_channels(weight, by_channel, step, plane)
    by_y = _over_channels(weight, by_channel, step + 3 * plane, plane)
    by_across = _over_channels(weight, by_channel, step + 6 * plane, plane)
    by_down = _over_channels(weight, by_channel, step + 9 * plane, plane)
    by_lean = _over_channels(weight, by_channel, step + 12 * plane, plane)

    height, width = tl.load(sizes + 2 * batch).to(tl.float32), tl.load(sizes + 2 * batch + 1).to(tl.float32)
    points = grid + batch * plane * 2
    a_x, a_y, b_x, b_y = steps(points, i, j, rows, cols, height, width)
    by_a_x, by_a_y, by_b_x, by_b_y = back_to_steps(a_x, a_y, b_x, b_y, by_across, by_down, by_lean)
    a_x, a_y, b_x, b_y = steps_raw(points, i, j, rows, cols, height, width)
    place = by_steps + batch * _N * plane + i * cols + j
    tl.store(place, by_x, mask=inside)
    tl.store(place + plane, by_y, mask=inside)
    tl.store(place + 2 * plane, by_a_x * is_free(a_x, width, cols), mask=inside)
    tl.store(place + 3 * plane, by_a_y * is_free(a_y, height, cols), mask=inside)
    tl.store(place + 4 * plane, by_b_x * is_free(b_x, width, rows), mask=inside)
    tl.store(place + 5 * plane, by_b_y * is_free(b_y, height, rows), mask=inside)
    bent_x = does_bend(points, i, j, rows, cols, width, 0) * _BEND
    bent_y = does_bend(points, i, j, rows, cols, height, 1) * _BEND
    tl.store(place + 6 * plane, by_x * bent_x, mask=inside)
    tl.store(place + 7 * plane, by_y * bent_y, mask=inside)


@triton.jit(do_not_specialize=["rows", "cols"])
@no_type_check
def by_points_kernel(by_steps, sizes, by_grid, rows, cols):
    """Write ``by_grid`` (batch, rows, cols, 2): a point moves its own footprint, and is also an end of its neighbours' steps."""
    batch, i, j, inside = find_pixel(rows, cols)
    plane = rows * cols
    here = by_steps + batch * _N * plane
    for axis in tl.static_range(2):
        total = tl.load(here + axis * plane + i * cols + j)
        total += _as_an_end(here + (2 + axis) * plane + i * cols, j, cols, 1)
        total += _as_an_end(here + (4 + axis) * plane + j, i, rows, cols)
        total += _as_a_bend(here + (6 + axis) * plane + i * cols, j, cols, 1)
        total += _as_a_bend(here + (6 + axis) * plane + j, i, rows, cols)
        scale = tl.load(sizes + 2 * batch + 1 - axis).to(tl.float32) * 0.5
        tl.store(by_grid + 2 * (batch * plane + i * cols + j) + axis, total * scale, mask=inside)


@triton.jit
@no_type_check
def _as_an_end(line, n, count, stride):
    """Return by how much the steps along one line of points change with point ``n`` of ``count``, which ends some of them."""
    before, after = tl.maximum(n - 1, 0), tl.minimum(n + 1, count - 1)
    # The step of an inner point is half the distance between its neighbours; that of a point at the border, the distance
    # to its only neighbour.
    right_end = tl.load(line + before * stride) * tl.where(before > 0, 0.5, 1.0)
    left_end = tl.load(line + after * stride) * tl.where(after < count - 1, 0.5, 1.0)
    own = tl.load(line + n * stride)
    total = tl.where(n > 0, right_end, 0.0) - tl.where(n < count - 1, left_end, 0.0)
    return total + tl.where(n == count - 1, own, 0.0) - tl.where(n == 0, own, 0.0)


@triton.jit
@no_type_check
def _as_a_bend(line, n, count, stride):
    """Return by how much the centres of footprints along one line of points change with point ``n``; those of its ends do not."""
    before, after = tl.maximum(n - 1, 0), tl.minimum(n + 1, count - 1)
    total = tl.where(before > 0, tl.load(line + before * stride), 0.0)
    total += tl.where(after < count - 1, tl.load(line + after * stride), 0.0)
    return total - tl.where((n > 0) & (n < count - 1), 2 * tl.load(line + n * stride), 0.0)


@triton.jit
@no_type_check
def _over_channels(weight, by_channel, step, plane):
    """Return the sum over the channels of the pixels' derivatives times the values at ``step``."""
    total = tl.load(weight).to(tl.float32) * tl.load(step)
    total = tl.fma(tl.load(weight + by_channel).to(tl.float32), tl.load(step + plane), total)
    return tl.fma(tl.load(weight + 2 * by_channel).to(tl.float32), tl.load(step + 2 * plane), total)
