"""A mask from the image's edges: fine near edges, coarse elsewhere."""

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from foveal.sampler.adaptive._levels import snapped
from foveal.sampler.frames import check_images, check_tensor, whole

_LUMA = (0.299, 0.587, 0.114)
_PUBLISHED_BLOCK = 4


def edge_mask(
    images: Float[Tensor, "batch channel height width"] | UInt8[Tensor, "batch 3 height width"],
    *,
    threshold: float = 0.35,
    stride: int = 8,
    levels: int = 1,
    dilation: int = 11,
    as_published: bool = False,
) -> Int[Tensor, "batch 1 rows cols"]:
    """Return 0 near edges and ``levels`` away from them (Hesse et al. 2023).

    A pixel is an edge if the luma of its right and left neighbours, or of its lower and upper ones, differs by the
    threshold. Pixels within a square of ``dilation`` pixels around an edge are near it.

    Args:
        images: Of three channels (floating-point images also of one, which is their luma), in the scale of the network's
            input, such as normalised by ImageNet's mean and standard deviation; the threshold is in this scale, too. The
            published ones are 0.15, 0.35 and 0.95. Images of uint8 count as [0, 1]: they are divided by 255.
        threshold: The least difference of luma between two pixels two apart.
        stride: Pixels for a cell of the mask, per side; the mask has ceil(height / stride) rows.
        levels: The largest value.
        dilation: Side of the square in pixels, odd.
        as_published: The published code finds only edges that get brighter to the right or downwards, treats the
            surroundings of the image as black, checks one pixel in ``stride`` by ``stride``, and keeps blocks of 4 by 4
            cells.

    Raises:
        ValueError: An argument is out of range, or the images are of another shape.
        TypeError: The images are no tensor, or neither uint8 nor floating point; or a number is no whole number.

    Example:
        >>> image = torch.zeros(1, 3, 64, 96)
        >>> image[..., 48:] = 1
        >>> edge_mask(image)[0, 0, 0]
        tensor([1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1])
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, got {threshold!r}.")
    stride, levels = whole(stride, "stride"), whole(levels, "levels")
    if whole(dilation, "dilation") % 2 == 0:
        raise ValueError(f"dilation must be odd, got {dilation!r}.")
    check_tensor(images, "images")
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"images must be (batch, 3, height, width), got shape {tuple(images.shape)!r} – images[None] makes a batch of one image, "
            "and images[:, :3] leaves further channels out."
        )
    check_images(images)
    scaled = images if images.is_floating_point() else images.float() / 255
    near = max_pool2d(
        _edges(scaled, threshold, as_published=as_published).float(), dilation, 1, dilation // 2
    )
    if as_published:
        cells = near[:, :, ::stride, ::stride]
        coarse = max_pool2d(cells, _PUBLISHED_BLOCK, ceil_mode=True)
        wide = coarse.repeat_interleave(_PUBLISHED_BLOCK, 2).repeat_interleave(_PUBLISHED_BLOCK, 3)
        near = wide[:, :, : cells.shape[2], : cells.shape[3]]
    else:
        near = max_pool2d(near, stride, ceil_mode=True)
    return snapped(torch.where(near > 0, 0, levels))


def _edges(
    images: Float[Tensor, "batch channel height width"], threshold: float, *, as_published: bool
) -> Bool[Tensor, "batch 1 height width"]:
    weights = images.new_tensor(_LUMA)[:, None, None]
    luma = (images.detach() * weights).sum(dim=1, keepdim=True)
    around = pad(luma, (1, 1, 1, 1)) if as_published else pad(luma, (1, 1, 1, 1), mode="replicate")
    across = around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2]
    down = around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1]
    if as_published:
        return (across >= threshold) | (down >= threshold)
    return (across.abs() >= threshold) | (down.abs() >= threshold)
