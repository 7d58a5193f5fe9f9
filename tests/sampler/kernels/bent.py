"""Bent grids, and anti-aliased values with their slope."""

import math

import torch
from hypothesis import strategies as st

from tests.sampler.sampling.operators import sample_with_slope_op


def identity(height, width, dtype=torch.float64):
    return torch.nn.functional.affine_grid(
        torch.eye(2, 3, dtype=dtype)[None], [1, 3, height, width], align_corners=False
    )


def wavy(height, width, strength, seed=0, dtype=torch.float64):
    """Return the identity grid, bent at random: footprints of all sizes, sheared, some beyond the border."""
    generator = torch.Generator().manual_seed(seed)
    bend = 2 * torch.rand(1, 2, 3, 3, dtype=dtype, generator=generator) - 1
    smooth = torch.nn.functional.interpolate(bend, (height, width), mode="bicubic", align_corners=False)
    return identity(height, width, dtype) + strength * smooth.permute(0, 2, 3, 1)


def thin(length, width, angle, size):
    """Return a float32 grid of three by three points in a source of ``size``, one step being ``length`` pixels along an angle and the other ``width`` across it."""
    along = length * torch.tensor([math.cos(angle), math.sin(angle)])
    across = width * torch.tensor([-math.sin(angle), math.cos(angle)])
    k = torch.arange(-1.0, 2)[:, None]
    pixels = k[None] * along + k[:, None] * across
    return (pixels / torch.tensor([size[1] / 2, size[0] / 2]))[None]


def with_slope(image, grid):
    """Return anti-aliased values and their slope."""
    return sample_with_slope_op([image], grid, True, [1.0] * 3, [0.0] * 3, grid.dtype, False)


sizes = st.integers(1, 70)
