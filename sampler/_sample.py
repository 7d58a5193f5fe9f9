"""Sample images by a grid, averaged over each output pixel's part of them: an operator of torch over ragged uint8 images.

Forward may also write the derivative of each output by x and y. Backward is then a multiply and a sum over those, and
the full-resolution pixels are free as soon as forward is done.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal.sampler._antialias_reference import antialias_dense, antialias_reference
from foveal.sampler._images import Images, as_ragged, check_images, count, is_dense_float
from foveal.sampler._sample_reference import sample_reference
from foveal.sampler._spread import spread_rows


def sample(
    images: Images, grid: Float[Tensor, "batch height width 2"], *, antialias: bool = True
) -> Float[Tensor, "batch channel height width"]:
    """Return what each image shows around its grid points; beyond the border the border's value.

    Anti-aliased, an output pixel is the mean over its footprint: the parallelogram that the steps to the neighbouring
    grid points span, taken as a box, sheared along the rows, of the same area and second moments. Where the grid
    magnifies, that is bilinear interpolation. Large footprints are read on every second, third, ... row and column,
    at most 7 by 7 times two pixels. Beside 16 x 16 bilinear points to an output pixel, on 31 photographs of 0.8
    to 24 megapixels brought to 224 x 224 by the zoom of ``SpectralSaliency``: 43 dB or more on each, 53 dB in the
    middle (``temperature=1``); 43 and 50 dB (0.5); 39 and 47 dB (0.25); uniform, 42 and 53 dB. One point to
    a pixel, there, has 19 and 28 dB. An upright box would cost 6 to 7 dB where every pixel is read.

    Gradients reach the grid, for a footprint that moves and keeps its shape, and dense floating-point images.

    Args:
        images: (height, width, 3) uint8 tensors of any sizes and strides, or one (batch, channel, height, width)
            tensor. uint8 comes out in [0, 1]; floating point stays on its own scale.
        grid: (x, y) in [-1, 1], where -1 and 1 are the outer edges of the border pixels. float32 or float64, on the
            images' device; the result has its dtype. A NaN reads pixel 0.
        antialias: False for one point to an output pixel, bilinearly, as the published samplers have it: equal to
            ``torch.nn.functional.grid_sample(mode="bilinear", padding_mode="border", align_corners=False)``, which
            also takes over where ``images`` is one floating-point tensor.

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
        return antialias_dense(dense, grid) if antialias else _read_points(dense, grid)
    ragged = as_ragged(images)
    if torch.is_grad_enabled() and grid.requires_grad:
        pixels: Tensor = _sample_with_slope(ragged, grid, antialias)[0]
    else:
        pixels = _sample(ragged, grid, antialias)
    return pixels


def _read_points(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    read: Tensor = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read


def _check_grid(grid: Float[Tensor, "batch height width 2"], images: Images) -> None:
    if grid.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"grid must be float32 or float64, got {grid.dtype!r}: half precision misses by whole pixels; call .float()."
        )
    if grid.ndim != 4 or grid.shape[-1] != 2:
        raise ValueError(
            f"grid must be (batch, height, width, 2), got shape {tuple(grid.shape)!r}: (x, y) come last."
        )
    if grid.shape[0] != count(images):
        raise ValueError(
            f"grid must be one per image, got {grid.shape[0]!r} for {count(images)!r} images: repeat or cut it."
        )
    if count(images) > 0 and images[0].device != grid.device:
        raise ValueError(
            f"grid must be on the images' device {images[0].device}, got {grid.device}: call grid.to(...)."
        )


def _plainly(
    image: UInt8[Tensor, "_height _width 3"], points: Float[Tensor, "height width 2"], *, antialias: bool
) -> tuple[Float[Tensor, "3 height width"], Float[Tensor, "2 3 height width"]]:
    """Sample one image with what torch itself has."""
    if not antialias:
        return sample_reference(image, points)
    dense = image.permute(2, 0, 1)[None].to(points.dtype) / 255
    averages, slope = antialias_reference(dense, points[None])
    return averages[0].clamp(max=1), slope[0]  # white may be rounded up


@torch.library.custom_op(
    "foveal::sample", mutates_args=(), schema="(Tensor[] images, Tensor grid, bool antialias) -> Tensor"
)
def _sample(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
) -> Float[Tensor, "batch 3 height width"]:
    pixels = _empty_pixels(grid)
    for image, points, values in zip(images, grid, pixels, strict=True):
        values.copy_(_plainly(image, points, antialias=antialias)[0])
    return pixels


@torch.library.custom_op(
    "foveal::sample_with_slope",
    mutates_args=(),
    schema="(Tensor[] images, Tensor grid, bool antialias) -> (Tensor, Tensor)",
)
def _sample_with_slope(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch 2 3 height width"]]:
    pixels, slope = _empty_pixels(grid), _empty_slope(grid)
    for image, points, values, steps in zip(images, grid, pixels, slope, strict=True):
        for target, source in zip((values, steps), _plainly(image, points, antialias=antialias), strict=True):
            target.copy_(source)
    return pixels, slope


@_sample.register_kernel("cpu")
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
) -> Float[Tensor, "batch 3 height width"]:
    pixels = _empty_pixels(grid)
    _sample_on_cpu(images, grid, pixels, grid.new_empty(len(images), 2, 3, 0, 0), antialias=antialias)
    return pixels


@_sample_with_slope.register_kernel("cpu")
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch 2 3 height width"]]:
    pixels, slope = _empty_pixels(grid), _empty_slope(grid)
    _sample_on_cpu(images, grid, pixels, slope, antialias=antialias)
    return pixels, slope


def _sample_on_cpu(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch 2 3 _height _width"],
    *,
    antialias: bool,
) -> None:
    from foveal.sampler._antialias_numba import antialias_into  # noqa: PLC0415 - numba is loaded by the first call
    from foveal.sampler._sample_numba import sample_into  # noqa: PLC0415 - as above

    write_into = antialias_into if antialias else sample_into
    points, into, steps = grid.detach().contiguous().numpy(), pixels.numpy(), slope.numpy()

    whole = [image.contiguous().numpy() for image in images]

    def work(k: int, rows: tuple[int, int]) -> None:
        write_into(whole[k], points[k], into[k], steps[k], rows)

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
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
) -> Float[Tensor, "batch 3 height width"]:
    del images, antialias
    return _empty_pixels(grid)


@_sample_with_slope.register_fake
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch 2 3 height width"]]:
    del images, antialias
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
) -> tuple[list[None], Float[Tensor, "batch height width 2"] | None, None]:
    if by_slope is not None:
        _refuse()
    (slope,) = ctx.saved_tensors
    nothing: list[None] = [None] * ctx.images
    return nothing, None if by_pixels is None else _pull_back(by_pixels, slope), None


def _refuse(*_: Any) -> None:
    raise NotImplementedError("sample has no second derivative by the grid, as torch's grid_sample has none.")


_sample_with_slope.register_autograd(_to_grid, setup_context=_keep_slope)
_pull_back.register_autograd(_refuse)
