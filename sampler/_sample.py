"""Read images at the points of a grid: an operator of torch over a ragged batch of uint8 images.

Forward may also write the derivative of each output by x and y. Backward is then a multiply and a sum over those, and
the full-resolution pixels are free as soon as forward is done.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal.sampler._images import Images, as_ragged, check_images, is_dense_float
from foveal.sampler._sample_reference import sample_reference
from foveal.sampler._spread import spread_rows


def sample(
    images: Images, grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    """Return each image's values at its grid points, bilinearly; beyond the border the border's value.

    One point per output pixel: equal to ``torch.nn.functional.grid_sample(mode="bilinear", padding_mode="border",
    align_corners=False)``, which also takes over where ``images`` is one floating-point tensor. Gradients reach the
    grid, and dense floating-point images.

    Args:
        images: (height, width, 3) uint8 tensors of any sizes and strides, or one (batch, channel, height, width)
            tensor. uint8 comes out in [0, 1]; floating point stays on its own scale.
        grid: (x, y) in [-1, 1], where -1 and 1 are the outer edges of the border pixels. float32 or float64, on the
            images' device; the result has its dtype. A NaN reads pixel 0.

    Raises:
        TypeError: A dtype that is not supported.
        ValueError: A shape that is not supported, an image without pixels, not one grid per image, or another device.

    Example:
        >>> grid = torch.zeros(1, 5, 7, 2)
        >>> sample([torch.full((480, 640, 3), 255, dtype=torch.uint8)], grid).shape
        torch.Size([1, 3, 5, 7])
    """
    check_images(images)
    _check_grid(grid, images)
    if is_dense_float(images):
        dense = images.to(grid.dtype)  # type: ignore[union-attr]
        read: Tensor = grid_sample(dense, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return read
    ragged = as_ragged(images)
    if torch.is_grad_enabled() and grid.requires_grad:
        pixels: Tensor = _sample_with_slope(ragged, grid)[0]
    else:
        pixels = _sample(ragged, grid)
    return pixels


def _check_grid(grid: Float[Tensor, "batch height width 2"], images: Images) -> None:
    if grid.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"grid must be float32 or float64, got {grid.dtype!r}: half precision misses by whole pixels; call .float()."
        )
    if grid.ndim != 4 or grid.shape[-1] != 2:
        raise ValueError(
            f"grid must be (batch, height, width, 2), got shape {tuple(grid.shape)!r}: (x, y) come last."
        )
    if grid.shape[0] != len(images):
        raise ValueError(
            f"grid must be one per image, got {grid.shape[0]!r} for {len(images)!r} images: repeat or cut it."
        )
    if len(images) > 0 and images[0].device != grid.device:
        raise ValueError(
            f"grid must be on the images' device {images[0].device}, got {grid.device}: call grid.to(...)."
        )


@torch.library.custom_op("foveal::sample", mutates_args=(), schema="(Tensor[] images, Tensor grid) -> Tensor")
def _sample(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch 3 height width"]:
    pixels = _empty_pixels(grid)
    for image, points, values in zip(images, grid, pixels, strict=True):
        values.copy_(sample_reference(image, points)[0])
    return pixels


@torch.library.custom_op(
    "foveal::sample_with_slope", mutates_args=(), schema="(Tensor[] images, Tensor grid) -> (Tensor, Tensor)"
)
def _sample_with_slope(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], grid: Float[Tensor, "batch height width 2"]
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch 2 3 height width"]]:
    pixels, slope = _empty_pixels(grid), _empty_slope(grid)
    for image, points, values, steps in zip(images, grid, pixels, slope, strict=True):
        for target, source in zip((values, steps), sample_reference(image, points), strict=True):
            target.copy_(source)
    return pixels, slope


@_sample.register_kernel("cpu")
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch 3 height width"]:
    pixels = _empty_pixels(grid)
    _sample_on_cpu(images, grid, pixels, grid.new_empty(len(images), 2, 3, 0, 0))
    return pixels


@_sample_with_slope.register_kernel("cpu")
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], grid: Float[Tensor, "batch height width 2"]
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch 2 3 height width"]]:
    pixels, slope = _empty_pixels(grid), _empty_slope(grid)
    _sample_on_cpu(images, grid, pixels, slope)
    return pixels, slope


def _sample_on_cpu(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch 2 3 _height _width"],
) -> None:
    from foveal.sampler._sample_numba import sample_into  # noqa: PLC0415 - numba is loaded by the first call

    points, into, steps = grid.detach().contiguous().numpy(), pixels.numpy(), slope.numpy()

    whole = [image.contiguous().numpy() for image in images]

    def work(k: int, rows: tuple[int, int]) -> None:
        sample_into(whole[k], points[k], into[k], steps[k], rows)

    spread_rows(work, len(images), grid.shape[1])


@torch.library.custom_op(
    "foveal::sample_pull_back", mutates_args=(), schema="(Tensor by_pixels, Tensor slope) -> Tensor"
)
def _pull_back(
    by_pixels: Float[Tensor, "batch 3 height width"], slope: Float[Tensor, "batch 2 3 height width"]
) -> Float[Tensor, "batch height width 2"]:
    return (by_pixels[:, None] * slope).sum(dim=2).permute(0, 2, 3, 1).contiguous()


@_pull_back.register_kernel("cpu")
def _(
    by_pixels: Float[Tensor, "batch 3 height width"], slope: Float[Tensor, "batch 2 3 height width"]
) -> Float[Tensor, "batch height width 2"]:
    from foveal.sampler._sample_numba import pull_back_into  # noqa: PLC0415 - as above

    by_grid = _empty_pull_back(slope)
    weights, steps, into = by_pixels.contiguous().numpy(), slope.numpy(), by_grid.numpy()

    def work(k: int, rows: tuple[int, int]) -> None:
        pull_back_into(weights[k], steps[k], into[k], rows)

    spread_rows(work, len(slope), slope.shape[3])
    return by_grid


@_sample.register_fake
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch 3 height width"]:
    del images
    return _empty_pixels(grid)


@_sample_with_slope.register_fake
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], grid: Float[Tensor, "batch height width 2"]
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch 2 3 height width"]]:
    del images
    return _empty_pixels(grid), _empty_slope(grid)


@_pull_back.register_fake
def _(
    by_pixels: Float[Tensor, "batch 3 height width"], slope: Float[Tensor, "batch 2 3 height width"]
) -> Float[Tensor, "batch height width 2"]:
    del by_pixels
    return _empty_pull_back(slope)


def _empty_pixels(grid: Float[Tensor, "batch height width 2"]) -> Float[Tensor, "batch 3 height width"]:
    batch, height, width, _ = grid.shape
    return grid.new_empty(batch, 3, height, width)


def _empty_slope(grid: Float[Tensor, "batch height width 2"]) -> Float[Tensor, "batch 2 3 height width"]:
    batch, height, width, _ = grid.shape
    return grid.new_empty(batch, 2, 3, height, width)


def _empty_pull_back(slope: Float[Tensor, "batch 2 3 height width"]) -> Float[Tensor, "batch height width 2"]:
    batch, _, _, height, width = slope.shape
    return slope.new_empty(batch, height, width, 2)


def _keep_slope(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    """Keep the derivatives and nothing of the images: their pixels may go before backward comes."""
    ctx.images = len(inputs[0])
    ctx.save_for_backward(output[1])
    ctx.set_materialize_grads(False)


def _to_grid(
    ctx: Any,
    by_pixels: Float[Tensor, "batch 3 height width"] | None,
    by_slope: Float[Tensor, "batch 2 3 height width"] | None,
) -> tuple[list[None], Float[Tensor, "batch height width 2"] | None]:
    if by_slope is not None:
        _refuse()
    (slope,) = ctx.saved_tensors
    nothing: list[None] = [None] * ctx.images
    return nothing, None if by_pixels is None else _pull_back(by_pixels, slope)


def _refuse(*_: Any) -> None:
    raise NotImplementedError("sample has no second derivative by the grid, as torch's grid_sample has none.")


_sample_with_slope.register_autograd(_to_grid, setup_context=_keep_slope)
_pull_back.register_autograd(_refuse)
