"""The small functions of a training step that its options control."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate


def lr_factor(step: int, steps: int, warmup: float) -> float:
    """Return the learning rate at a step as a share of its peak: it rises from 1/25 along a cosine, then falls to zero along another."""
    rising = warmup * steps
    if step < rising:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / rising)) / 2
    return (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1))) / 2


def blurred(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """Blur a batch by resizing it to a random size between 2/7 and all of its own and back; the paper has 64 to 224 of 224 pixels."""
    height, width = images.shape[2:]
    share = 2 / 7 + 5 / 7 * float(torch.rand(()))
    small = adaptive_avg_pool2d(images, (round(height * share), round(width * share)))
    return interpolate(small, (height, width), mode="bilinear", align_corners=False)


def channels_last(
    images: Float[Tensor, "batch *patches 3 height width"],
) -> Float[Tensor, "batch *patches 3 height width"]:
    """Return images in channels-last memory, in which convolutions are fastest; patches are returned unchanged."""
    return images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images
