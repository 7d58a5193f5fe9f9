"""Checks the output of a saliency network before it is used."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from foveal.sampler.frames import is_transformed, underlying
from foveal.sampler.saliency import softmax_map
from foveal.sampler.zooms._zoom_needs import unwrapped


def as_weights(
    small: Float[Tensor, "batch channel rows cols"], network: nn.Module
) -> Float[Tensor, "batch channel rows cols"]:
    """Return the copy that a network looks at in the precision of its weights, which ``zoom.double()`` may have changed."""
    weights = (weight for weight in network.parameters() if weight.is_floating_point())
    first = next(weights, None)
    return small if first is None else small.to(first.dtype)


def map_of(
    logits: Tensor, network: nn.Module, batch: int, temperature: float = 1.0
) -> Float[Tensor, "batch 1 rows cols"]:
    """Return the softmax of logits that have the right shape.

    Raises:
        ValueError: They have another shape; the message names the network.
    """
    if logits.ndim != 4 or logits.shape[:2] != (batch, 1) or 0 in logits.shape[2:]:
        raise ValueError(
            f"saliency must return (batch, 1, rows, cols) logits, got shape {tuple(logits.shape)!r} from "
            f"{type(unwrapped(network)).__name__} for {batch} images."
        )
    return softmax_map(logits, temperature)


def lost_images(saliency: Float[Tensor, "batch 1 rows cols"]) -> Bool[Tensor, " batch"]:
    """Return which images have NaN in their saliency, because the network returned NaN or infinity."""
    return saliency.detach().isnan().flatten(1).any(dim=1)


def nan_where_lost(
    images: Float[Tensor, "batch *patches channel height width"], saliency: Float[Tensor, "batch 1 rows cols"]
) -> Float[Tensor, "batch *patches channel height width"]:
    """Set images to NaN if their saliency is NaN, because they have no grid.

    A grid of NaN reads pixel 0, which would give a flat picture that no check for NaN finds. This does not wait for a
    device: on a GPU, and in a compiled graph, every batch is written again under a mask; on the CPU only a batch with NaN.
    """
    lost = lost_images(saliency)
    if not torch.compiler.is_compiling() and lost.device.type == "cpu" and not bool(underlying(lost).any()):
        return images
    filled = images.masked_fill(lost.view(-1, *[1] * (images.ndim - 1)), torch.nan)
    in_order = images.ndim == 4 and not is_transformed()  # torch.vmap does not know the order
    if in_order and images.is_contiguous(memory_format=torch.channels_last):
        return filled.contiguous(memory_format=torch.channels_last)  # a compiled graph would change the order
    return filled
