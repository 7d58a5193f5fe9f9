"""Compares Triton's kernels with the CPU's on a few small images. It is short enough for compute-sanitizer and for Triton's interpreter.

It runs in a separate process, because Triton decides on its import whether to interpret:
``python -m foveal.tools.bench.gpu._kernels DEVICE``.
"""

import os
import sys

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.kernels.cpu import fill_lowres_on_cpu, pull_back_on_cpu, sample_on_cpu
from foveal.sampler.kernels.cuda import fill_lowres_on_cuda, pull_back_on_cuda, sample_on_cuda

TOLERANCE = 1e-3
_SIZES = ((40, 60), (7, 90))
_OUT = (7, 10)
_AS_IT_IS = {"scale": (1.0, 1.0, 1.0), "shift": (0.0, 0.0, 0.0)}


def compare_kernels(device: torch.device) -> dict[str, float]:
    """Return by how much each kernel's output differs from that of the CPU's kernel.

    Raises:
        ValueError: By more than ``TOLERANCE``.
    """
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (*size, 3), dtype=torch.uint8, generator=generator) for size in _SIZES]
    there = [image.to(device) for image in images]
    grid = torch.rand(len(images), *_OUT, 2, generator=generator).sort(dim=2).values * 2 - 1
    found: dict[str, float] = {}
    for antialias in (False, True):
        ours = _sampled(sample_on_cuda, pull_back_on_cuda, there, grid.to(device), antialias=antialias)
        expected = _sampled(sample_on_cpu, pull_back_on_cpu, images, grid, antialias=antialias)
        name = "anti-aliased" if antialias else "points"
        found |= {
            f"{name}, {part}": _difference(a, b)
            for part, a, b in zip(("pixels", "gradient"), ours, expected, strict=True)
        }
    small = [torch.empty(len(images), 3, *_OUT, device=place) for place in (device, "cpu")]
    fill_lowres_on_cuda(there, small[0])
    fill_lowres_on_cpu(images, small[1])
    found["low-res copy"] = _difference(*small)
    worst = max(found.values())
    if not worst <= TOLERANCE:
        raise ValueError(f"kernels must agree with the CPU's to {TOLERANCE}, got differences of {found!r}.")
    return found


def _sampled(
    sample_on: object,
    pull_back_on: object,
    images: list[Tensor],
    grid: Float[Tensor, "batch height width 2"],
    *,
    antialias: bool,
) -> tuple[Tensor, Tensor]:
    batch, height, width, _ = grid.shape
    pixels = grid.new_empty(batch, 3, height, width)
    slope = grid.new_empty(batch, 5 if antialias else 2, 3, height, width)
    sample_on(images, grid, pixels, slope, antialias=antialias, **_AS_IT_IS)  # type: ignore[operator]
    by_grid = torch.empty_like(grid)
    sizes = [side for image in images for side in image.shape[:2]]
    pull_back_on(torch.ones_like(pixels), slope, grid, sizes, by_grid)  # type: ignore[operator]
    return pixels, by_grid


def _difference(ours: Tensor, expected: Tensor) -> float:
    """Relative to the largest value, if that is above 1."""
    scale = max(1.0, float(expected.abs().max()))
    return float((ours.cpu() - expected).abs().max()) / scale


if __name__ == "__main__":
    place = torch.device(sys.argv[1])
    if place.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        sys.exit("device cpu needs TRITON_INTERPRET=1 in the environment.")
    for kernel, difference in compare_kernels(place).items():
        print(f"{kernel}: {difference:.1e}")
