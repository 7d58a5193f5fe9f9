"""Small copies of dense floating-point images."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from foveal.sampler.frames import is_recorded, is_transformed
from foveal.sampler.kernels import kernels_for
from foveal.sampler.kernels.cpu import Filter, shrink_on_cpu
from foveal.sampler.kernels.plain import shrink


def shrink_by_triangle(
    dense: Float[Tensor, "batch channel _height _width"], size: tuple[int, int]
) -> Float[Tensor, "batch channel height width"]:
    """Return copies of this (height, width), as ``interpolate(mode="bilinear", antialias=True)`` makes them."""
    return _shrunk(dense, size, "triangle", shrink)


def shrink_by_area(
    dense: Float[Tensor, "batch channel _height _width"], size: tuple[int, int]
) -> Float[Tensor, "batch channel height width"]:
    """Return copies of this (height, width), as ``adaptive_avg_pool2d`` makes them."""
    return _shrunk(dense, size, "area", adaptive_avg_pool2d)


def _shrunk(
    dense: Float[Tensor, "batch channel _height _width"],
    size: tuple[int, int],
    kind: Filter,
    plain: Callable[[Tensor, tuple[int, int]], Tensor],
) -> Float[Tensor, "batch channel height width"]:
    if not _has_kernel(dense, size):
        return plain(dense, size)
    small = dense.new_empty(*dense.shape[:2], *size)
    shrink_on_cpu(dense, small, kind)
    return small


def _has_kernel(dense: Float[Tensor, "batch channel _height _width"], size: tuple[int, int]) -> bool:
    """Whether the CPU's kernel is used. torch is slower, but has a gradient for the images, and copies an image of the same size faster."""
    wants_gradient = torch.is_grad_enabled() and dense.requires_grad
    return (
        not is_recorded()
        and not is_transformed(dense)
        and not wants_gradient
        and dense.shape[2:] != size
        and kernels_for(dense.device, dense.dtype) == "numba"
    )
