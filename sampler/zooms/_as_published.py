"""Reads images as published code does: the low-resolution copy, the frame of the grid, the border."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from foveal.sampler.frames import Images, as_ragged, grid_form, is_dense_float
from foveal.sampler.grids import Compat
from foveal.sampler.kernels import is_exporting
from foveal.sampler.sampling import shrink_by_area


def area_lowres(images: Images, size: tuple[int, int]) -> Float[Tensor, "batch channel height width"]:
    """Return copies of this (height, width) as ``torch.nn.AdaptiveAvgPool2d`` makes them: in [0, 1] from integers.

    Cell (i, j) of (h, w) is the mean of rows [floor(i H / h), ceil((i + 1) H / h)) and of columns likewise, so that
    neighbouring cells may share a row or column.
    """
    if is_dense_float(images):
        wide = images.to(torch.promote_types(images.dtype, torch.float32))  # type: ignore[union-attr]
        return shrink_by_area(wide, size)
    if isinstance(images, Tensor) and is_exporting():  # one by one, their number would be fixed
        return shrink_by_area(images.float() / 255, size)
    ragged = as_ragged(images)
    copies = [
        adaptive_avg_pool2d(image.permute(2, 0, 1).float(), size) / torch.iinfo(image.dtype).max
        for image in ragged
    ]
    return torch.stack(copies) if copies else torch.empty(0, 3, *size, device=grid_form(images)[1])


def in_one_frame(
    grid: Float[Tensor, "batch height width 2"], images: Images, compat: Compat
) -> Float[Tensor, "batch height width 2"]:
    """Convert a published grid to the frame of ``grid_sample(align_corners=False)``, so that it reads the same pixels."""
    if compat == "torch13plus":
        return grid
    # With align_corners=True, -1 and 1 are the centres of the border pixels.
    return grid * (1 - 1 / _sides(grid, images))


def faded(
    pixels: Float[Tensor, "batch channel height width"],
    grid: Float[Tensor, "batch height width 2"],
    images: Images,
    compat: Compat,
) -> Float[Tensor, "batch channel height width"]:
    """Fade the border's pixels as ``padding_mode="zeros"`` does, if the published code uses it.

    A bilinear point less than a pixel beyond the centre of a border pixel has this pixel's value, times one minus the
    distance in pixels along either axis.
    """
    if compat != "torch13plus":
        return pixels
    beyond = (grid.abs() - (1 - 1 / _sides(grid, images))).clamp(min=0) * _sides(grid, images) / 2
    return pixels * (1 - beyond).prod(dim=-1)[:, None].to(pixels.dtype)


def _sides(grid: Float[Tensor, "batch height width 2"], images: Images) -> Float[Tensor, "_batch 1 1 2"]:
    """Return width and height of each image in pixels; once, if all are in one tensor."""
    # In an exported program they may be of any size; a list of numbers would be of this one.
    if isinstance(images, Tensor):
        return torch.stack([grid.new_full((), side) for side in (images.shape[3], images.shape[2])]).view(
            1, 1, 1, 2
        )
    return grid.new_tensor([(image.shape[1], image.shape[0]) for image in images]).reshape(-1, 1, 1, 2)
