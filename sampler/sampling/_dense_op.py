"""The operator of torch behind anti-aliased `sample` of dense floating-point images.

The number of source rows of a footprint depends on the values of the grid, which an operator may read but a compiled
graph may not.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.kernels import kernels_for, operator
from foveal.sampler.kernels.cpu import average_dense_on_cpu, dense_to_grid_on_cpu, dense_to_images_on_cpu
from foveal.sampler.kernels.plain import (
    average_dense,
    footprints_to_grid,
    to_footprints,
    to_images,
    twice_differentiable,
)


@operator("foveal::sample_dense", "(Tensor images, Tensor grid) -> Tensor")
def sample_dense_op(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    """Average images over the grid's footprints."""
    if kernels_for(grid.device, grid.dtype) != "numba":
        return average_dense(images, grid)
    pixels = images.new_empty(*images.shape[:2], *grid.shape[1:3])
    average_dense_on_cpu(images, grid, pixels)
    return pixels


@operator("foveal::sample_dense_to_images", "(Tensor by_pixels, Tensor images, Tensor grid) -> Tensor")
def _to_images(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch channel _height _width"]:
    if kernels_for(grid.device, grid.dtype) != "numba":
        return to_images(by_pixels, images, grid)
    by_images = images.new_empty(images.shape)
    dense_to_images_on_cpu(by_pixels, grid, by_images)
    return by_images


@operator("foveal::sample_dense_to_footprints", "(Tensor by_pixels, Tensor images, Tensor grid) -> Tensor")
def _to_footprints(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch 5 height width"]:
    return to_footprints(by_pixels, images, grid)


@operator("foveal::sample_dense_to_grid", "(Tensor by_pixels, Tensor images, Tensor grid) -> Tensor")
def _to_grid(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch height width 2"]:
    """Return the derivatives by the grid, on the CPU: plain torch finds them by autograd, which an operator may not."""
    by_grid = grid.new_empty(grid.shape)
    dense_to_grid_on_cpu(by_pixels, images, grid, by_grid)
    return by_grid


@torch.library.register_fake("foveal::sample_dense")  # type: ignore[untyped-decorator]
def _(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    return images.new_empty(*images.shape[:2], *grid.shape[1:3])


@torch.library.register_fake("foveal::sample_dense_to_images")  # type: ignore[untyped-decorator]
def _(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch channel _height _width"]:
    del by_pixels, grid
    return images.new_empty(images.shape)


@torch.library.register_fake("foveal::sample_dense_to_footprints")  # type: ignore[untyped-decorator]
def _(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch 5 height width"]:
    del by_pixels, images
    return grid.new_empty(grid.shape[0], 5, *grid.shape[1:3])


@torch.library.register_fake("foveal::sample_dense_to_grid")  # type: ignore[untyped-decorator]
def _(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch height width 2"]:
    del by_pixels, images
    return grid.new_empty(grid.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs)


def _back(
    ctx: Any, by_pixels: Float[Tensor, "batch channel height width"]
) -> tuple[Tensor | None, Tensor | None]:
    """Use plain torch, which autograd can differentiate again, if second derivatives are needed."""
    images, grid = ctx.saved_tensors
    for_images, for_grid = ctx.needs_input_grad
    if torch.is_grad_enabled():
        both = twice_differentiable(by_pixels, images, grid)
        return both[0] if for_images else None, both[1] if for_grid else None
    by_images = _to_images(by_pixels, images, grid) if for_images else None
    if not for_grid:
        return by_images, None
    if kernels_for(grid.device, grid.dtype) == "numba":
        return by_images, _to_grid(by_pixels, images, grid)
    size = images.shape[2], images.shape[3]
    return by_images, footprints_to_grid(_to_footprints(by_pixels, images, grid), grid, size)


torch.library.register_autograd("foveal::sample_dense", _back, setup_context=_keep)
