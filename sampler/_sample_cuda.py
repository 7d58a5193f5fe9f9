"""Launch the CUDA kernels of `sample`: one for the whole ragged batch."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from foveal.sampler._antialias_triton import antialias_kernel
from foveal.sampler._image_table import image_table
from foveal.sampler._sample_triton import sample_kernel
from foveal.sampler._tile_triton import programs


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
    """Write ``pixels``, of any type and strides, as value * scale + shift; and ``slope``, contiguous, unless it is empty.

    Values are in [0, 1]. Nothing waits for the device.
    """
    whole = [image.contiguous() for image in images]  # held until the launch is enqueued
    batch, rows, cols, _ = grid.shape
    if grid.numel() == 0:
        return
    kernel = antialias_kernel if antialias else sample_kernel
    with torch.cuda.device_of(grid):
        kernel[programs(batch, rows, cols)](
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
            enable_fp_fusion=False,  # footprints as those of the CPU; where fused operations do no harm, the kernels ask for them
        )
