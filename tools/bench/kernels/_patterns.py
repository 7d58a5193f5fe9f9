"""Drawn images that show errors of sampling that skips source pixels."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

Image = UInt8[Tensor, "side side 3"]

_PERIODS = (2, 3, 4, 7)


def stripes(side: int) -> list[Image]:
    """Return black and white stripes of 2 to 7 pixels a period along rows, columns and the diagonal, around one grey object.

    Interlaced video, halftones, screens and woven cloth look like this.
    """
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    drawn = [255 * (along % period < period / 2) for period in _PERIODS for along in (y, x, x + y)]
    return [_with_object(pattern) for pattern in drawn]


def texture(side: int) -> list[Image]:
    """Return independent noise in each pixel, around one grey object."""
    noise = torch.randint(256, (side, side), generator=torch.Generator().manual_seed(0))
    return [_with_object(noise)]


PATTERNS: dict[str, Callable[[int], Sequence[Image]]] = {"stripes": stripes, "texture": texture}


def _with_object(pattern: Tensor) -> Image:
    """A disc off the centre, for the saliency to find."""
    side = pattern.shape[0]
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    disc = (y - 0.35 * side) ** 2 + (x - 0.6 * side) ** 2 < (0.08 * side) ** 2
    return torch.where(disc, 90, pattern).to(torch.uint8)[..., None].repeat(1, 1, 3)
