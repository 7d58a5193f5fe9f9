"""One vector for an image out of one for each of its patches, whatever their order: mean and maximum."""

from jaxtyping import Float
from torch import Tensor, nn


class PatchMean(nn.Module):
    """The mean over an image's patches, as the traffic signs of Cordonnier et al. (CVPR 2021) are read."""

    def forward(
        self,
        features: Float[Tensor, "batch k dim"],
        positions: Float[Tensor, "batch k 2"] | None = None,
    ) -> Float[Tensor, "batch dim"]:
        """Return one vector for an image; ``positions`` is accepted and not looked at."""
        del positions
        return features.mean(1)


class PatchMax(nn.Module):
    """The largest value over an image's patches, feature by feature: one patch that has it is enough."""

    def forward(
        self,
        features: Float[Tensor, "batch k dim"],
        positions: Float[Tensor, "batch k 2"] | None = None,
    ) -> Float[Tensor, "batch dim"]:
        """Return one vector for an image; ``positions`` is accepted and not looked at."""
        del positions
        return features.amax(1)
