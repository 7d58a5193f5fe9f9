"""Drawn images on which sampling that leaves pixels out is seen to be wrong."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

Image = UInt8[Tensor, "side side 3"]

_PERIODS = (2, 3, 4, 7)


def stripes(side: int) -> list[Image]:
    """Return black and white stripes of 2 to 7 pixels a period along rows, columns and the diagonal, around one grey object.

    A video's alternating lines, halftones, screens and woven cloth are such.
    """
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    drawn = [255 * (along % period < period / 2) for period in _PERIODS for along in (y, x, x + y)]
    return [_with_object(pattern) for pattern in drawn]


def texture(side: int) -> list[Image]:
    """Return noise, each pixel by itself, around one grey object."""
    noise = torch.randint(256, (side, side), generator=torch.Generator().manual_seed(0))
    return [_with_object(noise)]


PATTERNS: dict[str, Callable[[int], Sequence[Image]]] = {"stripes": stripes, "texture": texture}


def _with_object(pattern: Tensor) -> Image:
    """A disc for the saliency to find, off the middle."""
    side = pattern.shape[0]
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    disc = (y - 0.35 * side) ** 2 + (x - 0.6 * side) ** 2 < (0.08 * side) ** 2
    return torch.where(disc, 90, pattern).to(torch.uint8)[..., None].repeat(1, 1, 3)
