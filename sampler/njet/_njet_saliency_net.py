"""A saliency network that learns at which scales to look."""

from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import Frame, to_lattice, whole
from foveal.sampler.njet._njet_conv import NJetConv2d
from foveal.sampler.njet._njet_prefilter import NJetPrefilter
from foveal.sampler.saliency import SaliencyNet


class NJetSaliencyNet(SaliencyNet):
    """:class:`SaliencyNet` with a learned scale in the place of each stride and kernel size.

    The image is blurred and subsampled (:class:`NJetPrefilter`), details and surroundings are found by
    :class:`NJetConv2d`. At the start it is like :class:`SaliencyNet` for a 128 x 128 copy: details at a quarter of that
    resolution, surroundings at an eighth. Training then changes each scale as the task requires, and memory and time of
    the network change with it.

    Args:
        map_size: (rows, cols) of the map, or one number for both.
        order: Highest order of the derivatives that the kernels are made of, 0 to 10.
        zero_init: As in :class:`SaliencyNet`.
        frame: As in :class:`SaliencyNet`.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> zoom = SaliencySampler(224, saliency=NJetSaliencyNet())
    """

    def __init__(
        self,
        map_size: int | tuple[int, int] = (31, 31),
        *,
        order: int = 2,
        zero_init: bool = False,
        frame: Frame = "nodes",
    ) -> None:
        super().__init__(map_size, zero_init=zero_init, frame=frame)
        self.order = whole(order, "order", least=0)
        self.stem = nn.Sequential(
            NJetPrefilter(2.0),
            _normalised(NJetConv2d(3, 24, order=order, sigma=2.0, subsample=1.0), 24),
            _normalised(NJetConv2d(24, 24, order=order, groups=24), 24),
            _normalised(nn.Conv2d(24, 32, kernel_size=1, bias=False), 32),
        )
        self.context = nn.Sequential(
            _normalised(NJetConv2d(32, 32, order=order, sigma=2.0, groups=32, subsample=1.0), 32),
            _normalised(nn.Conv2d(32, 64, kernel_size=1, bias=False), 64),
        )

    # Features that were subsampled by resizing are in cells, whatever the strides.
    def _whole_strides(
        self, small: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        return small

    def _resized(self, logits: Float[Tensor, "batch 1 _rows _cols"]) -> Float[Tensor, "batch 1 rows cols"]:
        return super()._resized(logits) if self.frame == "cells" else to_lattice(logits, self.map_size)

    def _fit_frame(self) -> None:
        pass  # only how the map is read differs


def _normalised(conv: nn.Module, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv, nn.GroupNorm(4, outputs), nn.ReLU(inplace=True))
