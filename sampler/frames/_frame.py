"""The frame of all grids: (x, y) in [-1, 1], where -1 and 1 are the outer edges of the border pixels."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames._constant import constant
from foveal.sampler.frames._is_transformed import is_transformed


def pixel_centres(pixels: int) -> Float[Tensor, " pixels"]:
    """The positions of the centres of a row of pixels, in float64."""
    return (2 * torch.arange(pixels, dtype=torch.float64) + 1) / pixels - 1


@constant
def identity_grid(
    size: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "1 height width 2"]:
    """The centres of the output's own pixels: the grid that only changes the resolution."""
    y, x = torch.meshgrid(pixel_centres(size[0]), pixel_centres(size[1]), indexing="ij")
    return torch.stack([x, y], dim=-1)[None].to(device, dtype)


@constant
def interpolation(
    nodes: int, pixels: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "pixels nodes"]:
    """Row j: the weights of the nodes ``linspace(-1, 1, nodes)`` for linear interpolation at the centre of pixel j."""
    position = (pixel_centres(pixels) + 1) / 2 * (nodes - 1)
    return (1 - (position[:, None] - torch.arange(nodes)).abs()).clamp(min=0).to(device, dtype)


def outer_grid(
    x: Float[Tensor, "batch width"], y: Float[Tensor, "batch height"]
) -> Float[Tensor, "batch height width 2"]:
    """The grid whose columns are at ``x`` and whose rows are at ``y``."""
    if torch.compiler.is_compiling() or not x.is_cpu or is_transformed(x, y):
        shape = (x.shape[0], y.shape[1], x.shape[1])
        return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)
    if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
        return _added(x, y)
    grid: Tensor = _Outer.apply(x, y)  # type: ignore[no-untyped-call]
    return grid


def _added(
    x: Float[Tensor, "batch width"], y: Float[Tensor, "batch height"]
) -> Float[Tensor, "batch height width 2"]:
    real, imaginary = torch.complex(x, torch.zeros_like(x)), torch.complex(torch.zeros_like(y), y)
    return torch.view_as_real(real[:, None, :] + imaginary[:, :, None])


class _Outer(torch.autograd.Function):
    """Points as complex numbers, x + iy, because their sums are vectorised, which sums of alternating x and y are not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        """Add every x to every y."""
        del ctx
        return _added(x, y)

    @staticmethod
    def backward(ctx: Any, *by_grid: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over each column, and over each row."""
        del ctx
        points = torch.view_as_complex(by_grid[0].contiguous())
        return points.sum(dim=1).real, points.sum(dim=2).imag
