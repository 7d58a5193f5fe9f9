"""A mask that is learned: it decides where to compute finely."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.adaptive._levels import spread_blocks
from foveal.sampler.frames import whole


class LearnedMask(nn.Module):
    """Decides from fine features which 2 x 2 blocks of them to halve (Hesse et al. 2023: convolutions and a hard Gumbel softmax).

    In training, decisions are drawn: a block is coarse with the probability that the network returns, and the gradient is
    that of the softmax (straight through). In evaluation the more likely decision is taken, without noise. Give
    :class:`AdaptiveDownsample` and :func:`budget_loss` the same mask, because each call draws anew. Probabilities should
    start near one half.

    Args:
        channels: Channels of the features, such as 512 for a ResNet-50's second stage.
        temperature: Temperature of the softmax.

    Raises:
        TypeError: ``channels`` is no whole number.
        ValueError: An argument is not positive.

    Example:
        >>> mask = LearnedMask(128)(torch.zeros(1, 128, 8, 12))
        >>> mask.shape
        torch.Size([1, 1, 8, 12])
    """

    def __init__(self, channels: int, *, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature!r}.")
        self.temperature = float(temperature)
        self.decide = nn.Sequential(
            nn.Conv2d(whole(channels, "channels"), 128, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(128, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2, ceil_mode=True),
            nn.Conv2d(64, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 2, kernel_size=3, padding=1),
        )

    def forward(
        self, fine: Float[Tensor, "batch channel rows cols"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return 0 for blocks to keep fine and 1 for blocks to halve, in float32. In training, ``generator`` draws; None for torch's own."""
        logits: Tensor = self.decide(fine).float()
        if self.training:
            logits = logits + _gumbel(logits, generator)
        soft = (logits / self.temperature).softmax(dim=1)[:, 1:]
        hard = (soft.detach() > 0.5).to(soft.dtype)
        # In this order the sum is exactly 0 or 1.
        return spread_blocks(hard + (soft - soft.detach()), 2, (fine.shape[2], fine.shape[3]))


def budget_loss(mask: Float[Tensor, "batch 1 rows cols"], share: float) -> Float[Tensor, ""]:
    """Return the squared difference between the share of halved cells and the wanted share: ``(mean(mask) - share)^2``.

    Args:
        mask: The mask of a batch, the same one with which the features were computed.
        share: The wanted mean of the mask, from 0 (all fine) to 1 (all halved); the paper's rho.

    Raises:
        ValueError: The share is out of range.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share!r}.")
    return (mask.mean() - share).square()


def _gumbel(
    like: Float[Tensor, "batch 2 rows cols"], generator: torch.Generator | None
) -> Float[Tensor, "batch 2 rows cols"]:
    """Draw Gumbel noise: minus the logarithm of an exponential variable, for each value."""
    drawn = torch.empty_like(like).exponential_(generator=generator)
    return -drawn.clamp(min=torch.finfo(drawn.dtype).tiny).log()  # of zero it would be infinite
