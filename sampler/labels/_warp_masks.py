"""Masks through the zoom, in both directions: class ids are looked up, never interpolated."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from foveal.sampler.frames import SourceSize, Views, check_tensor, each_size
from foveal.sampler.labels._invert_grid import invert_grid
from foveal.sampler.labels._warp_map import check_grid

Mask = Integer[Tensor, "_height _width"] | Bool[Tensor, "_height _width"]
Masks = Integer[Tensor, "batch _rows _cols"] | Bool[Tensor, "batch _rows _cols"]


def warp_masks(
    masks: Sequence[Mask], grid: Float[Tensor, "batch height width 2"]
) -> Integer[Tensor, "batch height width"] | Bool[Tensor, "batch height width"]:
    """Return the masks of the source images as the zoomed images show them.

    Args:
        masks: For each image its own (height, width) of class ids, all of one integer or boolean type. A mask covers the
            whole source image, at whatever resolution.
        grid: The grid that the images were sampled with, already composed with views if there were any.

    Returns:
        The id of the pixel in which each point of the grid lies, on the masks' device; beyond the border, that of the
        border's pixel.

    Raises:
        ValueError: A mask is not two-dimensional or has no pixels, or there are not as many as grids; or the grid is not
            finite or has another shape.
        TypeError: A mask is no tensor, or the masks are of different types, or of a floating-point type.
    """
    check_grid(grid)
    _check_masks(masks, len(grid))
    found = [_look_up(mask, points) for mask, points in zip(masks, grid, strict=True)]
    empty = torch.zeros(0, *grid.shape[1:3], dtype=torch.int64, device=grid.device)
    return torch.stack(found) if found else empty


def unwarp_masks(
    masks: Masks,
    grid: Float[Tensor, "batch height width 2"],
    source_size: SourceSize,
    *,
    views: Views | None = None,
) -> list[Mask]:
    """Return masks of the zoomed images, such as predictions, in the frame of the source images.

    Args:
        masks: (batch, rows, cols) class ids at any resolution of the zoomed images.
        grid: The grid that the images were sampled with.
        source_size: (height, width) of each result in pixels, of a lattice laid over the source: one for all, or one
            for each.
        views: Those that the images were sampled with, if any: (batch, 2, 3), as :func:`compose` has them.

    Returns:
        For each image (height, width): the id at each pixel's position in the zoomed image; for pixels that it does not
        show, that of the nearest border.

    Raises:
        ValueError: As :func:`warp_masks` and :func:`invert_grid`, or a size is below one pixel.
        TypeError: The masks are of a floating-point type.
    """
    check_grid(grid)
    _check_masks(masks, len(grid))
    sizes = each_size(source_size, len(grid))
    return [
        _look_up(mask, invert_grid(grid[k : k + 1], size, views=_one(views, k))[0])
        for k, (mask, size) in enumerate(zip(masks, sizes, strict=True))
    ]


def _look_up(mask: Mask, points: Float[Tensor, "height width 2"]) -> Mask:
    """The pixel of the mask in which each point (x, y) in [-1, 1] lies."""
    size = torch.tensor([mask.shape[1], mask.shape[0]], device=points.device)
    pixel = ((points.double() + 1) / 2 * size).floor().long()
    x, y = pixel.clamp(min=torch.zeros_like(size), max=size - 1).to(mask.device).unbind(dim=-1)
    return mask[y, x]


def _one(views: Views | None, k: int) -> Views | None:
    return None if views is None else views[k : k + 1]


def _check_masks(masks: Sequence[Mask] | Masks, batch: int) -> None:
    if len(masks) != batch:
        raise ValueError(f"masks must be {batch}, one for each grid, got {len(masks)}.")
    for position, mask in enumerate(masks):
        check_tensor(mask, f"masks[{position}]")
        if mask.ndim != 2 or mask.numel() == 0:
            raise ValueError(
                f"masks[{position}] must be (height, width) with pixels, got shape {tuple(mask.shape)!r}."
            )
        if mask.is_floating_point():
            raise TypeError(
                f"masks[{position}] must be of an integer or boolean type, got {mask.dtype!r}: convert the ids first."
            )
        if mask.dtype != masks[0].dtype:
            raise TypeError(
                f"masks[{position}] must be {masks[0].dtype!r} as the first, got {mask.dtype!r}: convert it."
            )
