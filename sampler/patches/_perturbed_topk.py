"""A differentiable choice of K of many positions (Cordonnier et al., CVPR 2021; Berthet et al., NeurIPS 2020).

The choice of the K largest scores is a step function without a gradient. Its mean over Gaussian noise on the scores is
smooth, and the noise also gives its derivative. Only the chosen positions are kept, never a one-hot tensor of all draws.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from foveal.sampler.frames import is_transformed, whole

Gradient = Literal["diagonal", "relative", "full"]


class PerturbedTopK(nn.Module):
    """Chooses the K highest-scoring positions, in the order of their positions, not of their scores.

    In training the result is the mean over ``samples`` draws of noise Z with standard deviation ``sigma``: row r has the
    weights of all positions for being the r-th of the chosen ones. With ``eval()`` the scores alone decide, and rows are
    one-hot.

    The published gradient is the diagonal of the Jacobian's estimate: the derivative of the weights of a position by
    that position's own score, ``grad[d] = sum_r g[r, d] E[r, d]`` with ``E[r, d] = mean_n(Y_n[r, d] Z_n[d]) / sigma``. It
    is far less noisy than an estimate of the whole Jacobian, but biased: it counts the value of a position, but not the
    value of the position that it would replace. Adding a constant to g does not change the true gradient, but rotates the
    published one. Cosines to the true gradient, for 500 draws, 4 of 196 positions, sigma 0.05, mean of 40 random g:

    ======================  ======  ======  ==========
    gradient                normal  abs(g)  normal + 3
    ======================  ======  ======  ==========
    ``"diagonal"``            0.93    0.48        0.21
    ``"relative"``            0.96    0.95        0.91
    ``"full"``                0.67    0.67        0.63
    ======================  ======  ======  ==========

    The noise comes from torch's generator (``torch.manual_seed``), or from the one that is passed.

    Args:
        k: Number of positions to choose.
        sigma: Standard deviation of the noise, in units of the scores; 0.05 is meant for scores in [0, 1]. It is a plain
            attribute that may be changed: see :meth:`anneal`.
        samples: Number of draws of noise.
        gradient: ``"diagonal"`` as published; ``"relative"``, the same with ``g[r, d] - sum_c g[r, c] weights[r, c]`` for
            g, so that the gain of one position is the loss of the others in proportion; or ``"full"``, an unbiased
            estimate by the whole Jacobian:
            ``sum_n (w_n - mean(w)) Z_n / ((samples - 1) sigma)`` with ``w_n = <g, Y_n>`` (Berthet et al., prop. 3.1).

    Raises:
        TypeError: A number is no whole number.
        ValueError: An argument is out of range.

    Example:
        >>> PerturbedTopK(5)(torch.rand(4, 2028)).shape
        torch.Size([4, 5, 2028])
    """

    def __init__(
        self, k: int, *, sigma: float = 0.05, samples: int = 500, gradient: Gradient = "diagonal"
    ) -> None:
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma!r} – call eval() for no noise.")
        if gradient not in get_args(Gradient):
            raise ValueError(f"gradient must be one of {get_args(Gradient)!r}, got {gradient!r}.")
        self.k = whole(k, "k")
        least = 2 if gradient == "full" else 1
        self.samples = whole(samples, f"samples for gradient={gradient!r}", least)
        self.sigma = self._first_sigma = float(sigma)
        self.gradient = gradient

    def forward(
        self, scores: Float[Tensor, "batch positions"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch {self.k} positions"]:
        """Return the weights of each chosen position over all positions; rows sum to one.

        Args:
            scores: Finite. float16 and bfloat16 are computed in float32.
            generator: The generator of the noise, on the device of the scores; None for torch's own.

        Raises:
            ValueError: There are fewer than k positions, or sigma is not positive in training.
        """
        with torch.autocast(scores.device.type, enabled=False):
            scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
            if not self.training:
                return one_hot(hard_topk(scores, self.k), scores.shape[-1]).to(scores.dtype)
            if not self.sigma > 0:
                raise ValueError(
                    f"sigma must be positive while training, got {self.sigma!r} – call eval(), or anneal over more steps."
                )
            return self._perturbed(scores, generator)

    def anneal(self, step: int, total_steps: int) -> None:
        """Lower sigma linearly, as published: to ``(1 - step / total_steps)`` of its initial value.

        It depends on the step alone, so nothing has to be saved with the weights. The step is the number of finished
        steps: ``anneal(1, 4)`` leaves three quarters, and ``anneal(4, 4)`` zero, after which training is over.

        Raises:
            ValueError: The step is out of range.
        """
        if not 0 <= step <= total_steps:
            raise ValueError(
                f"step must be in [0, total_steps], got {step!r} of {total_steps!r} – anneal over more steps."
            )
        self.sigma = self._first_sigma * (1 - step / max(total_steps, 1))

    def extra_repr(self) -> str:
        """Say what it does."""
        return f"k={self.k}, sigma={self.sigma}, samples={self.samples}, gradient={self.gradient!r}"

    def _perturbed(
        self, scores: Float[Tensor, "batch positions"], generator: torch.Generator | None
    ) -> Float[Tensor, "batch k positions"]:
        batch, positions = scores.shape
        noise = torch.randn(
            batch, self.samples, positions, dtype=scores.dtype, device=scores.device, generator=generator
        )
        perturbed = torch.add(scores.detach()[:, None], noise, alpha=self.sigma)
        _check_enough(perturbed, self.k)
        # With noise no two scores are equal, and finding the largest is faster than sorting all.
        chosen = perturbed.topk(self.k, sorted=False).indices.sort(-1).values.mT
        ones = scores.new_ones(()).expand(chosen.shape)
        weights = _count(chosen, ones, positions) / self.samples
        if not (scores.requires_grad or is_transformed(scores)):
            return weights
        # Zero, with a derivative of one: the term that is added has the derivative of the weights.
        zero = scores - scores.detach()
        if self.gradient == "full":
            return weights + self._full(chosen, noise, zero)
        gain = self._diagonal(chosen, noise, zero)
        return weights + (gain if self.gradient == "diagonal" else gain - weights * gain.sum(2, keepdim=True))

    def _diagonal(
        self,
        chosen: Int[Tensor, "batch k samples"],
        noise: Float[Tensor, "batch samples positions"],
        zero: Float[Tensor, "batch positions"],
    ) -> Float[Tensor, "batch k positions"]:
        own = noise.gather(2, chosen.mT).mT
        slope = _count(chosen, own, noise.shape[2]) / (self.samples * self.sigma)
        return slope * zero[:, None]

    def _full(
        self,
        chosen: Int[Tensor, "batch k samples"],
        noise: Float[Tensor, "batch samples positions"],
        zero: Float[Tensor, "batch positions"],
    ) -> Float[Tensor, "batch k positions"]:
        # Subtracting the mean of the noise instead of that of the weights w gives the same covariance without a second pass.
        along = ((noise - noise.mean(1, keepdim=True)) * zero[:, None]).sum(2)
        return _count(chosen, along[:, None].expand(chosen.shape), noise.shape[2]) / (
            (self.samples - 1) * self.sigma
        )


def hard_topk(scores: Float[Tensor, "*batch positions"], k: int) -> Int[Tensor, "*batch {k}"]:
    """Return the k positions of the highest scores (of equal ones the first), in ascending order of position.

    Raises:
        ValueError: There are fewer than k positions.
    """
    _check_enough(scores, k)
    if torch.onnx.is_in_onnx_export():  # has no stable order, but its topk takes the first of equal scores
        best = scores.detach().topk(k).indices
    else:
        best = scores.detach().argsort(dim=-1, descending=True, stable=True)[..., :k]
    positions: Tensor = best.sort(-1).values
    return positions


def _check_enough(scores: Float[Tensor, "*batch positions"], k: int) -> None:
    if k > scores.shape[-1]:
        raise ValueError(
            f"k must be at most the {scores.shape[-1]} positions that there are, got {k!r} – score more finely."
        )


def _count(
    chosen: Int[Tensor, "batch k samples"], what: Float[Tensor, "batch k samples"], positions: int
) -> Float[Tensor, "batch k {positions}"]:
    """Sum the values of the draws for each chosen position."""
    empty = what.new_zeros(*chosen.shape[:2], positions)
    return empty.scatter_add(2, chosen, what)
