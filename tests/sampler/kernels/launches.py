"""Launches of the CUDA kernels of `sample`, the kernel of the CPU beside them, and grids for both."""

import pytest
import torch

from foveal.sampler.kernels.cpu import sample_on_cpu
from foveal.sampler.kernels.cuda import sample_on_cuda

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN = {"scale": [1.0, 1.0, 1.0], "shift": [0.0, 0.0, 0.0]}

either = pytest.mark.parametrize("antialias", [False, True])


def wavy(batch, height, width, strength=0.5):
    """Return the identity grid, bent at random: footprints of all sizes, sheared, some beyond the border."""
    bend = torch.randn(batch, 2, 3, 3, generator=torch.Generator().manual_seed(batch + height))
    smooth = torch.nn.functional.interpolate(bend, (height, width), mode="bicubic", align_corners=False)
    straight = torch.nn.functional.affine_grid(
        torch.eye(2, 3).expand(batch, 2, 3), [batch, 3, height, width], align_corners=False
    )
    return straight + strength * smooth.permute(0, 2, 3, 1)


def outputs(grid, dtype=torch.float32, *, slope=True, channels_last=False, numbers=2):
    batch, rows, cols, _ = grid.shape
    order = torch.channels_last if channels_last else torch.contiguous_format
    pixels = torch.full((batch, 3, rows, cols), torch.nan, dtype=dtype, device=grid.device)
    shape = (batch, numbers, 3, rows, cols) if slope else (batch, numbers, 3, 0, 0)
    return pixels.to(memory_format=order), torch.full(shape, torch.nan, device=grid.device)


def on_device(device, images, grid, antialias, *, tone=PLAIN, **form):
    pixels, slope = outputs(grid.to(device), numbers=5 if antialias else 2, **form)
    there = [image.to(device) for image in images]
    sample_on_cuda(there, grid.to(device), pixels, slope, antialias=antialias, **tone)
    return pixels.cpu(), slope.cpu()


def by_numba(images, grid, antialias, *, tone=PLAIN, **form):
    pixels, slope = outputs(grid, numbers=5 if antialias else 2, **form)
    sample_on_cpu(images, grid, pixels, slope, antialias=antialias, **tone)
    return pixels, slope
