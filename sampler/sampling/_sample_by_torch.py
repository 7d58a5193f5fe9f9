"""Sampling by torch's own operators, for graphs that are exported and for transforms that know no others."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal.sampler.frames import Images, count, grid_form, identity_grid, is_dense_float

Read = Callable[[Tensor, Tensor], Tensor]
"""Pixels of dense floating-point images at the points of a grid."""


def sample_by_torch(
    images: Images, grid: Float[Tensor, "batch height width 2"], read: Read
) -> Float[Tensor, "batch channel height width"]:
    """Do what `sample` does, in the grid's precision; not normalised."""
    if is_dense_float(images):
        return read(images.to(grid.dtype), grid)  # type: ignore[union-attr]
    if isinstance(images, Tensor):
        return read(images.to(grid.dtype) / 255, grid).clamp(max=1)  # white may be rounded up
    if not images:
        return grid.new_empty(0, 3, *grid.shape[1:3])
    each = (image.permute(2, 0, 1)[None].to(grid.dtype) / 255 for image in images)
    return torch.cat([read(image, points[None]) for image, points in zip(each, grid, strict=True)]).clamp(
        max=1
    )


def lowres_by_torch(
    images: Images, size: tuple[int, int], read: Read
) -> Float[Tensor, "batch 3 height width"]:
    """Do what `lowres` does for uint8 images: the mean over each cell."""
    dtype, device = grid_form(images)
    if not count(images):
        return torch.empty(0, 3, *size, device=device)
    grid = identity_grid(size, dtype, device)
    return sample_by_torch(images, grid.expand(count(images), -1, -1, -1), read)


def read_points(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    """Read one point to an output pixel, bilinearly; beyond the border the border's value."""
    read: Tensor = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read
