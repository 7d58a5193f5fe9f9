"""Patches in a graph that is exported, where no number that decides what is read may leave the graph."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from foveal.sampler.frames import Border


def cut_in_graph(
    images: Shaped[Tensor, "batch _height _width channel"],
    corners: Int[Tensor, "batch k 2"],
    patch_size: int,
    border: Border,
) -> Float[Tensor, "batch k channel {patch_size} {patch_size}"]:
    """Do what `cut_patches` does, for a batch of images of one size."""
    within = torch.arange(patch_size, device=images.device)
    y, x = corners[..., 0, None] + within, corners[..., 1, None] + within
    height, width = images.shape[1:3]
    each = torch.arange(images.shape[0], device=images.device)[:, None, None, None]
    near = images[each, y.clamp(0, height - 1)[..., :, None], x.clamp(0, width - 1)[..., None, :]]
    patches = near if near.is_floating_point() else near.to(torch.float32) / 255
    if border == "zeros":
        inside = ((y >= 0) & (y < height))[..., :, None] & ((x >= 0) & (x < width))[..., None, :]
        patches = torch.where(inside[..., None], patches, 0)
    return patches.movedim(-1, -3).contiguous()
