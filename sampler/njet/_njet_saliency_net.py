"""A saliency network that learns at which scales to look."""

from torch import nn

from foveal.sampler.njet._njet_conv import NJetConv2d
from foveal.sampler.njet._njet_prefilter import NJetPrefilter
from foveal.sampler.saliency import SaliencyNet


class NJetSaliencyNet(SaliencyNet):
    """:class:`SaliencyNet` with a learned scale in the place of each stride and kernel size.

    The image is blurred and subsampled (:class:`NJetPrefilter`), details and surroundings are found by
    :class:`NJetConv2d`. At the start, a 128 x 128 copy is looked at as :class:`SaliencyNet` looks at it: details on a
    quarter of that resolution, surroundings on an eighth. Then each scale moves to where the task wants it, and
    memory and time of the network with it.

    Args:
        map_size: (rows, cols) of the map.
        order: Highest order of the derivatives that the kernels are made of, 0 to 10.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> zoom = SaliencySampler(224, saliency=NJetSaliencyNet())
    """

    def __init__(self, map_size: tuple[int, int] = (31, 31), *, order: int = 2) -> None:
        super().__init__(map_size)
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


def _normalised(conv: nn.Module, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv, nn.GroupNorm(4, outputs), nn.ReLU(inplace=True))
