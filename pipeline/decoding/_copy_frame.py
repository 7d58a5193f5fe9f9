"""The frame of a smaller copy: it consists of whole blocks of source pixels, the last of which may reach beyond the original.

For example, a copy at 1/8 of 803 columns has 101 columns, which cover 808. So the original's frame lies within the copy's.
"""

import torch
from torch import Tensor

from foveal.pipeline.decoding._encoded_image import EncodedImage
from foveal.pipeline.decoding.headers import flips


def frame_of(image: EncodedImage) -> Tensor | None:
    """Return where the original lies in its copy: (2, 3), float64, from [-1, 1] of the upright original to the copy's.

    None if the two are the same.
    """
    down, across = _axes(image)
    if down[0] == across[0] == 1:
        return None
    return torch.tensor([[across[0], 0, across[1]], [0, down[0], down[1]]], dtype=torch.float64)


def trimmed(pixels: Tensor, image: EncodedImage) -> Tensor:
    """Return a view of a copy whose frame equals the original's to within half a pixel, for zooms that do not take views."""
    if image.scale == 1:
        return pixels
    sides = []
    for length, side, (share, offset) in zip(pixels.shape, image.upright_size, _axes(image), strict=False):
        kept = max(1, (2 * side + image.scale) // (2 * image.scale))
        starts = share < 1 and offset > 0
        sides.append(slice(length - kept, length) if starts else slice(0, kept))
    return pixels[sides[0], sides[1]]


def _axes(image: EncodedImage) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return factor and summand of the map for rows and for columns. The part beyond the original is at the end, or at the beginning."""
    shares = [side / (-(-side // image.scale) * image.scale) for side in image.upright_size]
    down, across = (
        (share, 1 - share if start else share - 1)
        for share, start in zip(shares, flips(image.orientation), strict=True)
    )
    return down, across
