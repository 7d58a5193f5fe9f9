"""`sample` on the CPU: numba's kernels, distributed over threads by rows of the output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.threads import spread_rows


def sample_on_cpu(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch _numbers 3 _height _width"],
    *,
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
) -> None:
    """Fill ``pixels``, contiguous or channels-last, of any dtype, and ``slope``, of the grid's dtype, unless it is empty."""
    points, steps = grid.detach().contiguous().numpy(), slope.numpy()
    tone = np.array([scale, shift], dtype=points.dtype)
    whole = [image.contiguous().numpy() for image in images]
    exact = pixels if pixels.dtype == grid.dtype else torch.empty_like(pixels, dtype=grid.dtype)
    channels_last = not exact.is_contiguous()
    into = (
        (exact.permute(0, 2, 3, 1) if channels_last else exact).view(len(images), exact[0:1].numel()).numpy()
    )
    write_into = _average_into if antialias else _read_into

    spread_rows(
        lambda k, rows: write_into(whole[k], points[k], into[k], steps[k], tone, channels_last, rows),
        len(images),
        grid.shape[1],
    )
    if exact is not pixels:
        pixels.copy_(exact)


def pull_back_on_cpu(
    by_pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch _numbers 3 height width"],
    grid: Float[Tensor, "batch height width 2"],
    sizes: Sequence[int],
    by_grid: Float[Tensor, "batch height width 2"],
) -> None:
    """Fill ``by_grid`` from the derivatives with respect to the pixels, of any strides and dtype, and ``slope``."""
    from foveal.sampler.kernels.cpu._points import pull_back_into  # noqa: PLC0415 - numba is loaded by the first call
    from foveal.sampler.kernels.cpu._pull_back import pull_footprints_back_into  # noqa: PLC0415 - as above

    weights = by_pixels.to(slope.dtype, memory_format=torch.contiguous_format).contiguous().numpy()
    steps, points, into = slope.numpy(), grid.detach().contiguous().numpy(), by_grid.numpy()

    if steps.shape[1] == 2:
        spread_rows(
            lambda k, rows: pull_back_into(weights[k], steps[k], into[k], rows), len(slope), slope.shape[3]
        )
        return
    size = list(zip(sizes[::2], sizes[1::2], strict=True))
    spread_rows(
        lambda k, rows: pull_footprints_back_into(weights[k], steps[k], points[k], size[k], into[k], rows),
        len(slope),
        slope.shape[3],
    )


def _read_into(  # noqa: PLR0917 - as compiled functions take them
    image: Any, grid: Any, pixels: Any, slope: Any, tone: Any, channels_last: bool, rows: Any
) -> None:
    from foveal.sampler.kernels.cpu._points import sample_into  # noqa: PLC0415 - as above

    sample_into(image, grid, pixels, slope, tone, channels_last, rows)


def _average_into(  # noqa: PLR0917 - as compiled functions take them
    image: Any, grid: Any, pixels: Any, slope: Any, tone: Any, channels_last: bool, rows: Any
) -> None:
    """Sample by rows and columns if the grid is separable, which is faster but computes no derivatives."""
    from foveal.sampler.kernels.cpu._antialias import antialias_into, end_of  # noqa: PLC0415 - as above
    from foveal.sampler.kernels.cpu._separable import is_separable, lay_boxes, separable_into  # noqa: PLC0415 - as above

    if slope.size or not is_separable(grid):
        antialias_into(image, end_of(image), grid, pixels, slope, tone, channels_last, rows)
        return
    height, width, _ = grid.shape
    places = np.empty((2, height + width), np.int64)
    parts = np.empty((3, height + width), grid.dtype)
    lay_boxes(grid, image.shape[:2], places, parts)
    separable_into(image, places, parts, pixels, tone, channels_last, height, rows)
