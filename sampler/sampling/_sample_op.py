"""The operators of torch behind `sample`, over ragged uint8 images.

Forward may also write the derivatives of each output with respect to x and y of its point or, with averaging, to the five
numbers of its footprint. Backward only needs these, so the full-resolution pixels can be freed as soon as forward is done.
"""

# ruff: noqa: PLR0917 - operators of torch take arguments by place
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.kernels import kernels_for, operator
from foveal.sampler.kernels.cpu import pull_back_on_cpu, sample_on_cpu
from foveal.sampler.kernels.cuda import pull_back_on_cuda, sample_on_cuda
from foveal.sampler.kernels.plain import footprints_to_grid, sample_plainly

_ARGUMENTS = "(Tensor[] images, Tensor grid, bool antialias, float[] scale, float[] shift, ScalarType dtype, bool channels_last)"


_POINT, _FOOTPRINT = 2, 5  # numbers on which an output pixel depends

_FILL: dict[str, Callable[..., None]] = {
    "numba": sample_on_cpu,
    "triton": sample_on_cuda,
    "torch": sample_plainly,
}


def _fill(grid: Float[Tensor, "batch height width 2"]) -> Callable[..., None]:
    """Choose the function that fills the outputs: all take the same arguments as `sample_plainly`."""
    return _FILL[kernels_for(grid.device, grid.dtype)]


@operator("foveal::sample", f"{_ARGUMENTS} -> Tensor")
def sample_op(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
    dtype: torch.dtype,
    channels_last: bool,
) -> Float[Tensor, "batch 3 height width"]:
    """Sample, and write each channel times its ``scale`` plus its ``shift``."""
    pixels = _empty_pixels(grid, dtype, channels_last)
    none = grid.new_empty(len(images), _POINT, 3, 0, 0)
    _fill(grid)(images, grid, pixels, none, antialias=antialias, scale=scale, shift=shift)
    return pixels


@operator("foveal::sample_and_slope", f"{_ARGUMENTS} -> (Tensor, Tensor)")
def sample_with_slope_op(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
    dtype: torch.dtype,
    channels_last: bool,
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch _numbers 3 height width"]]:
    """Sample as `sample_op` does, and return the derivatives too, in the grid's precision.

    With respect to the grid's x and y or, with averaging, to the five numbers of the footprint, in source pixels.
    """
    pixels, slope = _empty_pixels(grid, dtype, channels_last), _empty_slope(grid, antialias)
    _fill(grid)(images, grid, pixels, slope, antialias=antialias, scale=scale, shift=shift)
    return pixels, slope


@operator(
    "foveal::sample_slope_back", "(Tensor by_pixels, Tensor slope, Tensor grid, SymInt[] sizes) -> Tensor"
)
def _pull_back(
    by_pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch _numbers 3 height width"],
    grid: Float[Tensor, "batch height width 2"],
    sizes: Sequence[int],
) -> Float[Tensor, "batch height width 2"]:
    """Return the derivatives with respect to the grid; ``sizes`` has height and width of each image, one after the other."""
    by_grid = torch.empty_like(grid, memory_format=torch.contiguous_format)
    pull_back = pull_back_on_cpu if kernels_for(grid.device, grid.dtype) == "numba" else pull_back_on_cuda
    pull_back(by_pixels, slope, grid, sizes, by_grid)
    return by_grid


@torch.library.register_fake("foveal::sample")  # type: ignore[untyped-decorator]
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
    dtype: torch.dtype,
    channels_last: bool,
) -> Float[Tensor, "batch 3 height width"]:
    del images, antialias, scale, shift
    return _empty_pixels(grid, dtype, channels_last)


@torch.library.register_fake("foveal::sample_and_slope")  # type: ignore[untyped-decorator]
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
    dtype: torch.dtype,
    channels_last: bool,
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch _numbers 3 height width"]]:
    del images, scale, shift
    return _empty_pixels(grid, dtype, channels_last), _empty_slope(grid, antialias)


@torch.library.register_fake("foveal::sample_slope_back")  # type: ignore[untyped-decorator]
def _(
    by_pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch _numbers 3 height width"],
    grid: Float[Tensor, "batch height width 2"],
    sizes: Sequence[int],
) -> Float[Tensor, "batch height width 2"]:
    del by_pixels, slope, sizes
    return torch.empty_like(grid, memory_format=torch.contiguous_format)


def _empty_pixels(
    grid: Float[Tensor, "batch height width 2"], dtype: torch.dtype, channels_last: bool
) -> Float[Tensor, "batch 3 height width"]:
    batch, height, width, _ = grid.shape
    order = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(batch, 3, height, width, dtype=dtype, device=grid.device, memory_format=order)


def _empty_slope(
    grid: Float[Tensor, "batch height width 2"], antialias: bool
) -> Float[Tensor, "batch _numbers 3 height width"]:
    batch, height, width, _ = grid.shape
    return grid.new_empty(batch, _FOOTPRINT if antialias else _POINT, 3, height, width)


def _keep_slope(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    """Keep the derivatives, the grid and the sizes of the images, but not their pixels, which may be freed before backward."""
    ctx.sizes = [length for image in inputs[0] for length in image.shape[:2]]
    ctx.save_for_backward(output[1], inputs[1])
    ctx.set_materialize_grads(False)


def _to_grid(
    ctx: Any,
    by_pixels: Float[Tensor, "batch 3 height width"] | None,
    by_slope: Float[Tensor, "batch _numbers 3 height width"] | None,
) -> tuple[list[None] | Float[Tensor, "batch height width 2"] | None, ...]:
    if by_slope is not None:
        _refuse()
    slope, grid = ctx.saved_tensors
    by_grid = None
    if by_pixels is not None:
        plainly = kernels_for(grid.device, grid.dtype) == "torch"
        by_grid = (_pull_back_plainly if plainly else _pull_back)(by_pixels, slope, grid, ctx.sizes)
    return [None] * (len(ctx.sizes) // 2), by_grid, None, None, None, None, None


def _pull_back_plainly(
    by_pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch _numbers 3 height width"],
    grid: Float[Tensor, "batch height width 2"],
    sizes: Sequence[int],
) -> Float[Tensor, "batch height width 2"]:
    """Return the same as `_pull_back`, with torch."""
    by_numbers = (by_pixels[:, None] * slope).sum(dim=2)
    if slope.shape[1] == _POINT:
        return by_numbers.movedim(1, -1)
    each = zip(by_numbers, grid, zip(sizes[::2], sizes[1::2], strict=True), strict=True)
    return torch.cat([footprints_to_grid(by[None], points[None], size) for by, points, size in each])


def _refuse(*_: Any) -> None:
    raise NotImplementedError("sample has no second derivative by the grid, as torch's grid_sample has none.")


def _refuse_without_slope(*_: Any) -> None:
    raise NotImplementedError(
        "foveal::sample has no derivative: a graph that was recorded without gradients has to be recorded with them."
    )


torch.library.register_autograd("foveal::sample", _refuse_without_slope)
torch.library.register_autograd("foveal::sample_and_slope", _to_grid, setup_context=_keep_slope)
torch.library.register_autograd("foveal::sample_slope_back", _refuse)
