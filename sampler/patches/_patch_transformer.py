"""A transformer that combines the features and positions of patches into one vector for the image."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import whole

# Wavelengths from twice the image's side to a sixteenth of it.
_OCTAVES = 6


class PatchTransformer(nn.Module):
    """Lets an image's patches attend to each other, and sums them (Cordonnier et al., CVPR 2021: the billiard balls).

    The layers are as published: normalised after each part, feed-forward of twice the width, dropout 0.1. The published
    code encodes the position of a patch by a linear map of the choice's weights over all cells, which fixes the number of
    cells; here it is a linear map of sines and cosines of (x, y), which works for any lattice and image size. With zeros
    for ``positions``, or None, the order of the patches does not matter.

    Args:
        dim: Length of a feature vector, a multiple of ``heads``.
        layers: Number of layers.
        heads: Attention heads.
        dropout: Share of values that is dropped in training.

    Raises:
        TypeError: ``heads`` is no whole number.
        ValueError: It is below 1, or ``dim`` is no multiple of it.

    Example:
        >>> PatchTransformer(256)(torch.rand(4, 10, 256), torch.rand(4, 10, 2)).shape
        torch.Size([4, 256])
    """

    def __init__(self, dim: int, *, layers: int = 3, heads: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        heads = whole(heads, "heads")
        if dim % heads:
            raise ValueError(f"dim must be a multiple of heads={heads!r}, got {dim!r}.")
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(dim, heads, 2 * dim, dropout, batch_first=True)
                for _ in range(layers)
            )
        )
        self.place = nn.Linear(4 * _OCTAVES, dim)

    def forward(
        self,
        features: Float[Tensor, "batch k dim"],
        positions: Float[Tensor, "batch k 2"] | None = None,
    ) -> Float[Tensor, "batch dim"]:
        """Return one vector for an image.

        Args:
            features: One vector for each patch.
            positions: Their centres: (x, y) in [-1, 1] of the image, ``zoomed.grid.mean((2, 3))``, of any dtype. None to ignore
                positions.
        """
        if positions is not None:
            features = features + self.place(_waves(positions).to(self.place.weight.dtype))
        seen: Tensor = self.layers(features)
        return seen.sum(1)


def _waves(positions: Float[Tensor, "batch k 2"]) -> Float[Tensor, "batch k waves"]:
    octaves = 2.0 ** torch.arange(_OCTAVES, device=positions.device)
    phase = (math.pi / 2 * octaves * positions[..., None]).flatten(2)
    return torch.cat([phase.sin(), phase.cos()], dim=-1)
