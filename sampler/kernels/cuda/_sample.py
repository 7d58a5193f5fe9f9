"""`sample` on CUDA: Triton's kernels, one launch for the whole ragged batch. No function here waits for the device."""

from collections.abc import Sequence

from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from foveal.sampler.kernels.cuda._image_table import image_table, on_device
from foveal.sampler.kernels.cuda._launch import launch


def sample_on_cuda(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float32[Tensor, "batch height width 2"],
    pixels: Float[Tensor, "batch 3 height width"],
    slope: Float32[Tensor, "batch _numbers 3 _height _width"],
    *,
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
) -> None:
    """Fill ``pixels``, of any strides and dtype, and ``slope``, contiguous, unless it is empty."""
    from foveal.sampler.kernels.cuda._antialias import antialias_kernel  # noqa: PLC0415 - Triton is loaded by the first call
    from foveal.sampler.kernels.cuda._points import sample_kernel  # noqa: PLC0415 - as above
    from foveal.sampler.kernels.cuda._tile import programs  # noqa: PLC0415 - as above

    whole = [image.contiguous() for image in images]  # kept alive until the launch is enqueued
    batch, rows, cols, _ = grid.shape
    launch(
        antialias_kernel if antialias else sample_kernel,
        programs(batch, rows, cols),
        grid.device,
        image_table(whole, grid.device),
        grid.detach().contiguous(),
        pixels,
        slope,
        rows,
        cols,
        *pixels.stride(),
        *scale,
        *shift,
        with_slope=slope.numel() > 0,
    )


def pull_back_on_cuda(
    by_pixels: Float[Tensor, "batch 3 height width"],
    slope: Float32[Tensor, "batch _numbers 3 height width"],
    grid: Float32[Tensor, "batch height width 2"],
    sizes: Sequence[int],
    by_grid: Float32[Tensor, "batch height width 2"],
) -> None:
    """Fill ``by_grid`` from the derivatives with respect to the pixels, of any strides and dtype, and ``slope``.

    It takes one pass over ``slope``; torch's expression would write and read another tensor of the same size.
    """
    from foveal.sampler.kernels.cuda._pull_back import (  # noqa: PLC0415 - Triton is loaded by the first call
        NUMBERS,
        by_points_kernel,
        by_steps_kernel,
        pull_back_kernel,
    )
    from foveal.sampler.kernels.cuda._tile import programs  # noqa: PLC0415 - as above

    batch, rows, cols, _ = by_grid.shape
    many, place, strides = programs(batch, rows, cols), slope.device, by_pixels.stride()
    if slope.shape[1] == 2:
        launch(pull_back_kernel, many, place, by_pixels, slope.contiguous(), by_grid, rows, cols, *strides)
        return
    there, by_steps = on_device(sizes, place), slope.new_empty(batch, NUMBERS, rows, cols)
    points = grid.detach().contiguous()
    arguments = by_pixels, slope.contiguous(), points, there, by_steps, rows, cols, *strides
    launch(by_steps_kernel, many, place, *arguments)
    launch(by_points_kernel, many, place, by_steps, there, by_grid, rows, cols)
