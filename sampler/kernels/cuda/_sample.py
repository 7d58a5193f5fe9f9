"""`sample` on CUDA: Triton's kernels, one launch for the whole ragged batch. Nothing here waits for the device."""

from collections.abc import Sequence

from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from foveal.sampler.kernels.cuda._image_table import image_table
from foveal.sampler.kernels.cuda._launch import launch


def sample_on_cuda(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float32[Tensor, "batch height width 2"],
    pixels: Float[Tensor, "batch 3 height width"],
    slope: Float32[Tensor, "batch 2 3 _height _width"],
    *,
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
) -> None:
    """Fill ``pixels``, of any strides and dtype, and ``slope``, contiguous, unless it is empty."""
    from foveal.sampler.kernels.cuda._antialias import antialias_kernel  # noqa: PLC0415 - Triton is loaded by the first call
    from foveal.sampler.kernels.cuda._points import sample_kernel  # noqa: PLC0415 - as above
    from foveal.sampler.kernels.cuda._tile import programs  # noqa: PLC0415 - as above

    whole = [image.contiguous() for image in images]  # held until the launch is enqueued
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
    slope: Float32[Tensor, "batch 2 3 height width"],
    by_grid: Float32[Tensor, "batch height width 2"],
) -> None:
    """Fill ``by_grid`` with the sums over the channels of ``by_pixels``, of any strides and dtype, times ``slope``.

    In one pass: torch's expression for it writes a tensor as large as ``slope`` and reads it again.
    """
    from foveal.sampler.kernels.cuda._pull_back import pull_back_kernel  # noqa: PLC0415 - as above
    from foveal.sampler.kernels.cuda._tile import programs  # noqa: PLC0415 - as above

    batch, rows, cols, _ = by_grid.shape
    arguments = by_pixels, slope.contiguous(), by_grid, rows, cols, *by_pixels.stride()
    launch(pull_back_kernel, programs(batch, rows, cols), slope.device, *arguments)
