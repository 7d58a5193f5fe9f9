"""A saliency network that sees a map beside the image."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.kernels.plain import shrink
from foveal.sampler.saliency._map_saliency import one_for_each
from foveal.sampler.saliency._saliency_unet import SaliencyUNet


class MapChannelSaliency(nn.Module):
    """Logits of a network that sees a map, which is given with each image, as a fourth channel.

    The network learns how much the map means: where it is right, where it is wrong, and what it leaves out.
    :class:`MapSaliency` takes the map as it is. The map is of the same kind as there, and comes in the same ways:
    (rows, cols) non-negative weights of any size and scale, moved with the views. It is divided by its
    maximum and resized to the low-resolution image.

    Args:
        maps_from: The field of a loader's samples with the maps, such as ``"attention.npy"``
            (:class:`foveal.pipeline.Saliency`). None if they are passed by hand.
        network: A module from (batch, 4, height, width) in [0, 1], red, green, blue and the map, to logits (batch, 1,
            rows, cols). ``SaliencyUNet(channels=4)`` if None, whose map is even until it is trained: put
            it into a :class:`PriorSaliency`.

    Example:
        >>> prior = MapSaliency("attention.npy", floor=0.1)
        >>> both = PriorSaliency(MapChannelSaliency("attention.npy"), prior, gain=1.0)
        >>> zoom = SaliencySampler(224, saliency=both)
    """

    def __init__(self, maps_from: str | None = None, network: nn.Module | None = None) -> None:
        super().__init__()
        self.maps_from = maps_from
        self.network = SaliencyUNet(channels=4) if network is None else network

    @property
    def map_size(self) -> tuple[int, int]:
        """(rows, cols) of the network's map; (1, 1) for a network that does not say it."""
        rows, cols = getattr(self.network, "map_size", (1, 1))
        return rows, cols

    def forward(
        self,
        small: Float[Tensor, "batch 3 height width"],
        *,
        maps: Float[Tensor, "batch 1 _rows _cols"] | None = None,
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per cell of the network's map.

        Args:
            small: Low-resolution images in [0, 1].
            maps: Cells in [0, 1] that tile the image of ``small``, as :class:`SaliencySampler` passes them.

        Raises:
            ValueError: There are no maps, or not as many as images.
        """
        channel = shrink(one_for_each(small, maps).to(small), (small.shape[2], small.shape[3]))
        logits: Tensor = self.network(torch.cat([small, channel], dim=1))
        return logits
