"""Converts non-negative weights on a lattice to the logits of a saliency map."""

import torch
from jaxtyping import Float
from torch import Tensor


def log_shares(
    weights: Float[Tensor, "batch 1 rows cols"], floor: float
) -> Float[Tensor, "batch 1 rows cols"]:
    """Return the logarithms of weights that are scaled to a sum of one; an even map where all weights are zero.

    Args:
        weights: The weights; negative ones count as zero.
        floor: Share of the sum that is spread evenly, in [0, 1). With 0, the logarithm of a zero is minus infinity, and its
            gradient zero.
    """
    found = weights.clamp(min=0)
    total = found.sum(dim=(2, 3), keepdim=True)
    even = 1 / (weights.shape[2] * weights.shape[3])
    share = torch.where(total > 0, found / torch.where(total > 0, total, 1), even)
    raised = (1 - floor) * share + floor * even
    # The gradient of log(0) would be infinite times zero.
    return torch.where(raised > 0, raised, 1).log().masked_fill(raised <= 0, -torch.inf)


def check_floor(floor: float) -> None:
    """Raise for a floor outside of [0, 1).

    Raises:
        ValueError: It is outside.
    """
    if not 0 <= floor < 1:
        raise ValueError(f"floor must be in [0, 1), got {floor!r}.")
