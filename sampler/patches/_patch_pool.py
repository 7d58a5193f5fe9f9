"""Combines one vector for each patch into one for the image, whatever their order: mean and maximum."""

from jaxtyping import Float
from torch import Tensor, nn


class PatchMean(nn.Module):
    """The mean over an image's patches, as for the traffic signs of Cordonnier et al. (CVPR 2021)."""

    def forward(
        self,
        features: Float[Tensor, "batch k dim"],
        positions: Float[Tensor, "batch k 2"] | None = None,
    ) -> Float[Tensor, "batch dim"]:
        """Return one vector for an image; ``positions`` is accepted and ignored."""
        del positions
        return features.mean(1)


class PatchMax(nn.Module):
    """The largest value of each feature over an image's patches: one patch with a high value is enough."""

    def forward(
        self,
        features: Float[Tensor, "batch k dim"],
        positions: Float[Tensor, "batch k 2"] | None = None,
    ) -> Float[Tensor, "batch dim"]:
        """Return one vector for an image; ``positions`` is accepted and ignored."""
        del positions
        return features.amax(1)
