"""Positions in the full-resolution image of the patch of each score.

A score is computed from a part of the low-resolution copy. Its patch has the same centre, so that the part with a high
score is cut out. The published code places patches as if the scores tiled the image, but with convolutions without
padding they do not: on 1000 x 1000 pixels with a copy of 250 x 250, its patches are 15 pixels too far up and left at one
end, and 14 too far down and right at the other.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Geometry = Literal["centred", "published"]


def patch_corners(
    score: nn.Module,
    size: tuple[int, int],
    lowres_size: tuple[int, int],
    cells: tuple[int, int],
    *,
    patch_size: int,
    geometry: Geometry,
) -> Int[Tensor, "positions 2"]:
    """Return (top, left) of every cell's patch in pixels of an image, by rows; they may lie beyond its border.

    Args:
        score: The scorer; see :func:`cell_centres`.
        size: (height, width) of the image in pixels.
        lowres_size: Size of the copy that was scored.
        cells: (rows, cols) of the scores.
        patch_size: Height and width of a patch in pixels.
        geometry: ``"centred"`` on the region of the cell, to half a pixel; ``"published"`` for a stride of
            ``side // cells`` from a first patch centred in the first stride.
    """
    starts: list[Tensor] = []
    for side, lowres_px, count in zip(size, lowres_size, cells, strict=True):
        if geometry == "centred":
            centres = cell_centres(score, lowres_px, count) * side
            starts.append((centres - patch_size / 2 + 0.5).floor().long())
        else:
            stride = side // count
            starts.append(torch.arange(count) * stride - (patch_size - stride) // 2)
    return torch.cartesian_prod(*starts)


def cell_centres(score: nn.Module, lowres_px: int, cells: int) -> Float[Tensor, " {cells}"]:
    """Return the centre of each cell's region along one axis, as a fraction of the image's side.

    Args:
        score: The scorer. Its ``first_centre_px`` and ``stride_px`` (as in :class:`ScoreNet`) or its ``frame`` (as in
            :class:`SpectralSaliency`) give the centres. Without them, the cells tile the image.
        lowres_px: Side of the copy in pixels.
        cells: Number of cells.
    """
    if getattr(score, "frame", "cells") == "nodes":
        return torch.linspace(0, 1, cells, dtype=torch.float64)
    stride: float = getattr(score, "stride_px", lowres_px / cells)
    first: float = getattr(score, "first_centre_px", stride / 2)
    return (first + stride * torch.arange(cells, dtype=torch.float64)) / lowres_px


def patch_grids(
    corners: Float[Tensor, "*batch 2"], size: tuple[int, int], patch_size: int
) -> Float[Tensor, "*batch {patch_size} {patch_size} 2"]:
    """Return where each pixel of some patches looks: (x, y) in [-1, 1] of an image of this (height, width).

    Args:
        corners: (top, left) in pixels, whole or, for the mean over several patches, between.
        size: (height, width) of the image in pixels.
        patch_size: Height and width of a patch in pixels.
    """
    within = torch.arange(patch_size, dtype=corners.dtype, device=corners.device) + 0.5
    y, x = (2 * (corners[..., axis, None] + within) / side - 1 for axis, side in enumerate(size))
    shape = (*corners.shape[:-1], patch_size, patch_size)
    return torch.stack([x[..., None, :].expand(shape), y[..., :, None].expand(shape)], dim=-1)
