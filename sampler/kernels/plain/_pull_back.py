"""The backward pass of anti-aliased `sample` in plain torch: from averages to dense images and to footprints, and from these to the grid."""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.kernels._footprint import footprints
from foveal.sampler.kernels.plain._antialias import column_of, mean_over, place_of, rows_under, slope_over


def to_images(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch channel _height _width"]:
    """Convert derivatives with respect to the averages to those with respect to the images: the transpose of `mean_over`, sum by sum."""
    size = images.shape[2], images.shape[3]
    foot = footprints(grid, size)
    precise = torch.float32 if images.device.type == "mps" else torch.float64
    before = torch.zeros_like(images, dtype=precise).flatten(2)
    pixels = torch.zeros_like(before)
    by_sum = by_pixels.to(precise) / (foot.across * foot.down)[:, None]
    for row in rows_under(foot):
        for x, share in ((row.right, row.inside), (row.left, -row.inside)):
            column, by = column_of(x, size[1]), share * by_sum
            places = place_of(row.number, column, size).flatten(2).expand(-1, images.shape[1], -1)
            before.scatter_add_(2, places, by.flatten(2))
            pixels.scatter_add_(2, places, (by * (x - column)).flatten(2))
    each = before.view(images.shape)
    later = each.flip(3).cumsum(dim=3).flip(3) - each
    return (pixels.view(images.shape) + later).to(images.dtype)


def to_footprints(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch 5 height width"]:
    """Convert derivatives with respect to the averages to those with respect to the five numbers of the footprints."""
    slope = slope_over(images, footprints(grid, (images.shape[2], images.shape[3])))
    return (by_pixels[:, None] * slope).sum(dim=2)


def footprints_to_grid(
    by_numbers: Float[Tensor, "batch 5 height width"],
    grid: Float[Tensor, "batch height width 2"],
    size: tuple[int, int],
) -> Float[Tensor, "batch height width 2"]:
    """Convert derivatives with respect to the five numbers, for sources of ``size``, to those with respect to the grid, by autograd, which does not work within an operator."""
    with torch.enable_grad():
        points = grid.detach().requires_grad_()
        numbers = torch.stack(footprints(points, size), dim=1)
    (by_grid,) = torch.autograd.grad(numbers, points, by_numbers)
    return by_grid


def twice_differentiable(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
) -> tuple[Float[Tensor, "batch channel _height _width"], Float[Tensor, "batch height width 2"]]:
    """Convert derivatives with respect to the averages to those with respect to images and grid, with operations that autograd can differentiate again."""
    # Aliases: a grid may have been made of the images, and that way is not to be gone here, as autograd goes it with `by_grid`.
    pixels, points = (
        t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in (images, grid)
    )
    foot = footprints(points, (images.shape[2], images.shape[3]))
    (by_images,) = torch.autograd.grad(mean_over(pixels, foot), pixels, by_pixels, create_graph=True)
    by_numbers = (by_pixels[:, None] * slope_over(pixels, foot)).sum(dim=2)
    numbers = torch.stack(foot, dim=1)
    (by_grid,) = torch.autograd.grad(numbers, points, by_numbers, create_graph=True)
    return by_images, by_grid
