"""`sample` in plain torch: the reference for all other implementations, and the fallback if there is none."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.kernels._footprint import footprints
from foveal.sampler.kernels.plain._antialias import mean_over, slope_over


def sample_plainly(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch _numbers 3 _height _width"],
    *,
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
) -> None:
    """Fill ``pixels``, and ``slope`` unless it is empty: each channel times its ``scale``, plus its ``shift``."""
    scales, shifts = (grid.new_tensor(values)[:, None, None] for values in (scale, shift))
    for k, (image, points) in enumerate(zip(images, grid.detach(), strict=True)):
        one = _average if antialias else sample_reference
        values, steps = one(image, points)
        pixels[k].copy_(values * scales + shifts)
        if slope.numel():
            slope[k].copy_(steps * scales)


def _average(
    image: UInt8[Tensor, "_height _width 3"], points: Float[Tensor, "height width 2"]
) -> tuple[Float[Tensor, "3 height width"], Float[Tensor, "5 3 height width"]]:
    dense = image.permute(2, 0, 1)[None].to(points.dtype) / 255
    foot = footprints(points[None], (image.shape[0], image.shape[1]))
    averages = mean_over(dense, foot)[0].clamp(max=1)  # rounding may exceed white
    return averages, slope_over(dense, foot)[0]


def sample_reference(
    image: UInt8[Tensor, "_height _width 3"], grid: Float[Tensor, "height width 2"]
) -> tuple[Float[Tensor, "3 height width"], Float[Tensor, "2 3 height width"]]:
    """Read one image at the grid's points, bilinearly, with the derivatives of each value.

    Returns:
        The values in [0, 1], and their derivatives with respect to the grid's x and y, which are zero if the point was
        clamped.
    """
    rows, cols, _ = image.shape
    x0, x1, fx, x_rate = _between(grid[..., 0], cols)
    y0, y1, fy, y_rate = _between(grid[..., 1], rows)
    top, top_step = _blend(image[y0, x0], image[y0, x1], fx)
    bottom, bottom_step = _blend(image[y1, x0], image[y1, x1], fx)
    pixels = top + fy[..., None] * (bottom - top)
    by_x = (top_step + fy[..., None] * (bottom_step - top_step)) * x_rate[..., None]
    by_y = (bottom - top) * y_rate[..., None]
    return (pixels / 255).permute(2, 0, 1), (torch.stack([by_x, by_y]) / 255).permute(0, 3, 1, 2)


def _between(
    coordinate: Float[Tensor, "height width"], length: int
) -> tuple[Tensor, Tensor, Float[Tensor, "height width"], Float[Tensor, "height width"]]:
    """The two pixels around a coordinate, its fraction of the distance between them, and pixels per unit of it."""
    position = ((coordinate + 1) * length - 1) / 2
    free = (position > 0) & (position < length - 1)
    position = torch.where(position > 0, position, 0).clamp(max=length - 1)  # NaN goes to 0
    before = position.long()
    return (
        before,
        (before + 1).clamp(max=length - 1),
        position - before,
        free.to(coordinate.dtype) * (length / 2),
    )


def _blend(
    left: UInt8[Tensor, "height width 3"],
    right: UInt8[Tensor, "height width 3"],
    fraction: Float[Tensor, "height width"],
) -> tuple[Float[Tensor, "height width 3"], Float[Tensor, "height width 3"]]:
    start = left.to(fraction.dtype)
    step = right.to(fraction.dtype) - start
    return start + fraction[..., None] * step, step
