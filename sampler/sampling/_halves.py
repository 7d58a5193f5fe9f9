"""Images of 16 bits as two images of 8 bits. Sampling is linear, so the results for both halves add up to the result for the whole.

The weights of both halves sum to 1, so a mean and a standard deviation that a zoom applies come out right, too.
"""

import numpy as np
import torch
from torch import Tensor

from foveal.sampler.frames import Images

_HIGH, _LOW = 256 * 255 / 65535, 255 / 65535


def are_deep(images: Images) -> bool:
    """Say whether any image has 16 bits."""
    return not isinstance(images, Tensor) and any(image.dtype == torch.uint16 for image in images)


def halves(images: Images) -> tuple[list[Tensor], list[Tensor]]:
    """Return images of the upper and of the lower 8 bits; an image of 8 bits is used for both."""
    pairs = [_halves(image) if image.dtype == torch.uint16 else (image, image) for image in images]
    return [high for high, _ in pairs], [low for _, low in pairs]


def joined(high: Tensor, low: Tensor) -> Tensor:
    """Return the combination of the results for the upper and lower halves, in [0, 1]."""
    return high * _HIGH + low * _LOW


def _halves(image: Tensor) -> tuple[Tensor, Tensor]:
    if image.device.type == "cpu" and not torch.compiler.is_compiling():
        values = image.numpy()
        return torch.from_numpy((values >> 8).astype(np.uint8)), torch.from_numpy(values.astype(np.uint8))
    wide = image.to(torch.int32)
    return (wide >> 8).to(torch.uint8), (wide & 255).to(torch.uint8)
