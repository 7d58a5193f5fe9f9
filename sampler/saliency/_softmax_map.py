"""Converts the logits of a saliency module to the map for a grid."""

import torch
from jaxtyping import Float
from torch import Tensor


def softmax_map(
    logits: Float[Tensor, "batch 1 rows cols"], temperature: float = 1.0
) -> Float[Tensor, "batch 1 rows cols"]:
    """Return each sample's softmax over its whole map: non-negative, with a sum of one.

    Args:
        logits: Of any scale; a constant that is added to a map changes nothing.
        temperature: Divides the logits. Below 1 the map is sharper.

    Returns:
        float64 if the logits are, else float32, also under autocast.
    """
    with torch.autocast(logits.device.type, enabled=False):
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        shares: Tensor = (wide / temperature).flatten(1).softmax(dim=1).view_as(logits)
        return shares
