"""Spectral saliency of several powers, whose shares in the map are learned."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal._choices import PRIOR_POWERS
from foveal.sampler.frames import rows_and_cols
from foveal.sampler.saliency._spectral_saliency import SpectralSaliency

# Adam moves a parameter by about its learning rate in each step, however large the parameter's effect is. At the rate of a
# network's weights a gain would hardly move; with this factor it crosses its range within a hundred steps.
_SCALE = 32.0
# The sum of the weights before training. A ZoomTrial tries up to three times that.
_START = 0.45


class LearnedSpectralSaliency(nn.Module):
    """Logits of :class:`SpectralSaliency` with several powers, added with weights that are trained.

    A low power keeps everything that stands out in view; a high one points at the strongest place alone. Which of them
    finds what decides a label, and whether anything does, depends on the images, and two weights are learned from few of
    them. Where zooming lowers the loss the weight of the power that suits grows: on circuit boards that of the sixth power,
    on scenes with one digit among shapes like it that of the square. Where zooming does not help, both fall to about
    zero, and what is left is a uniform resize. It is the prior of :class:`PriorSaliency`.

    Args:
        map_size: (rows, cols) of the map, or one number for both.
        powers: What the residual's magnitude is raised to, each above 0.

    Raises:
        ValueError: There are no powers, or one is not positive.
    """

    def __init__(
        self, map_size: int | tuple[int, int] = (31, 31), *, powers: Sequence[float] = PRIOR_POWERS
    ) -> None:
        super().__init__()
        if not len(powers) or min(powers) <= 0:
            raise ValueError(f"powers must be one or more positive numbers, got {powers!r}.")
        self.map_size = rows_and_cols(map_size)
        self.powers = tuple(map(float, powers))
        self.spectral = SpectralSaliency(self.map_size)
        self.scaled_weights = nn.Parameter(torch.full((len(powers),), _START / len(powers) / _SCALE))

    @property
    def weights(self) -> Float[Tensor, " powers"]:
        """The weight of each power, zero or more."""
        # Without signs a weight can rise again after a step took it past zero; with clamp() it could not.
        return (_SCALE * self.scaled_weights).abs()

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per cell of the map."""
        each = self.spectral.of_powers(small, self.powers)
        # A matrix product would be rounded under autocast.
        logits: Tensor = (each * self.weights[:, None, None]).sum(dim=1, keepdim=True)
        return logits

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Mapping[str, Any], *others: Any
    ) -> None:
        name = f"{prefix}scaled_weights"
        if name not in state_dict and "version" in local_metadata:  # of SpectralSaliency, the prior of before
            weights = [float(power == local_metadata.get("power", 2.0)) for power in self.powers]
            if any(weights):
                state_dict[name] = torch.tensor(weights) / _SCALE
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def extra_repr(self) -> str:
        """Say what is not a submodule."""
        return f"powers={self.powers!r}"
