"""Patches of full-resolution images: cut out one by one, or mixed by learned weights.

The gradient with respect to the weights of a mixture is ``<g, patch>`` for each patch with a weight. So backward needs
these pixels; copies of the patches, or of the rectangle around them, whichever is smaller, are kept, so that the image
can be freed.
"""

from typing import Any

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from foveal.sampler.frames import Border, is_transformed

# Number of patches that are converted to floating point at one time.
_AT_ONCE = 32


def cut_patches(
    image: Shaped[Tensor, "height width channel"],
    corners: Int[Tensor, "count 2"],
    patch_size: int,
    border: Border,
) -> Float[Tensor, "count channel {patch_size} {patch_size}"]:
    """Return patches of one image: in [0, 1] from uint8; floating-point values unchanged, and differentiable.

    Args:
        image: At full resolution.
        corners: (top, left) of each patch in pixels.
        patch_size: Height and width of a patch.
        border: What lies beyond the image.
    """
    return _channels_first(_as_float(torch.stack(_windows(image, corners, patch_size, border))))


def mix_patches(
    image: Shaped[Tensor, "height width channel"],
    corners: Int[Tensor, "positions 2"],
    weights: Float[Tensor, "k positions"],
    patch_size: int,
    border: Border,
) -> Float[Tensor, "k channel {patch_size} {patch_size}"]:
    """Return means of patches: ``einsum("ks,scij->kcij", weights, patches)``, computed where a weight is not zero.

    The gradient with respect to weights that are zero is zero, because a perturbed choice could not pass it on.
    Floating-point images receive a gradient.
    """
    seen = (weights.detach() != 0).any(0).nonzero()[:, 0]
    windows = _windows(image, corners[seen.cpu()], patch_size, border)
    weights = weights[:, seen]
    if image.is_floating_point() or is_transformed(weights):
        patches = _as_float(torch.stack(windows))
        mixed: Tensor = torch.einsum("ks,shwc->khwc", weights.to(patches.dtype), patches)
    else:
        mixed = _Mixture.apply(weights, windows)  # type: ignore[no-untyped-call]
    return _channels_first(mixed)


class _Mixture(torch.autograd.Function):
    """Weighted sums of uint8 windows, a few of them floating point at a time, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, weights: Float[Tensor, "k count"], windows: list[UInt8[Tensor, "size size 3"]]
    ) -> Float[Tensor, "k size size 3"]:
        ctx.windows = windows
        mixed = weights.new_zeros(len(weights), windows[0].numel())
        for first in range(0, len(windows), _AT_ONCE):
            mixed.addmm_(weights[:, first : first + _AT_ONCE], _rows(windows, first, weights.dtype))
        return mixed.div_(255).clamp_(max=1).view(-1, *windows[0].shape)  # white may be rounded up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_mixed: Float[Tensor, "k size size 3"]) -> tuple[Tensor, None]:
        with torch.autocast(by_mixed.device.type, enabled=False):
            flat = by_mixed.flatten(1) / 255
            parts = [
                flat @ _rows(ctx.windows, first, flat.dtype).mT
                for first in range(0, len(ctx.windows), _AT_ONCE)
            ]
            return torch.cat(parts, dim=1), None


def _rows(
    windows: list[UInt8[Tensor, "size size 3"]], first: int, dtype: torch.dtype
) -> Float[Tensor, "some numbers"]:
    return torch.stack(windows[first : first + _AT_ONCE]).flatten(1).to(dtype)


def _windows(
    image: Shaped[Tensor, "height width channel"],
    corners: Int[Tensor, "count 2"],
    size: int,
    border: Border,
) -> list[Shaped[Tensor, "{size} {size} channel"]]:
    """Return copies of the windows, which do not keep the image in memory."""
    low, high = corners.amin(0), corners.amax(0) + size
    (top, left), (height, width) = low.tolist(), (high - low).tolist()
    if len(corners) * size * size <= height * width:
        return [_cut(image, (y, x), (size, size), border) for y, x in corners.tolist()]
    around = _cut(image, (top, left), (height, width), border)
    return [around[y : y + size, x : x + size] for y, x in (corners - low).tolist()]


def _cut(
    image: Shaped[Tensor, "height width channel"],
    corner: tuple[int, int],
    size: tuple[int, int],
    border: Border,
) -> Shaped[Tensor, "{size[0]} {size[1]} channel"]:
    """Return a copy of a rectangle that may reach beyond the image."""
    (top, left), (rows, cols) = corner, size
    height, width, _ = image.shape
    inside = image[max(top, 0) : max(top + rows, 0), max(left, 0) : max(left + cols, 0)]
    if inside.shape[:2] == size:
        return inside.clone(memory_format=torch.contiguous_format)
    if border == "replicate":
        y, x = (
            torch.arange(start, start + count, device=image.device).clamp(0, side - 1)
            for start, count, side in ((top, rows, height), (left, cols, width))
        )
        return image[y[:, None], x]
    beyond = (0, 0, max(-left, 0), max(left + cols - width, 0), max(-top, 0), max(top + rows - height, 0))
    return pad(inside, beyond)


def _as_float(patches: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return patches if patches.is_floating_point() else patches.to(torch.float32).div_(255)


def _channels_first(
    patches: Float[Tensor, "*count height width channel"],
) -> Float[Tensor, "*count channel height width"]:
    return patches.movedim(-1, -3).contiguous()
