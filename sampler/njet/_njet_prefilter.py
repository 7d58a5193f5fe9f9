"""A prefilter that learns a resolution: a Gaussian of learned width, followed by subsampling."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from foveal.sampler.njet._gaussian_jet import GaussianJet
from foveal.sampler.njet._safe_subsample import check_positive, safe_subsample


class NJetPrefilter(nn.Module):
    """Blurs with a Gaussian of learned sigma and subsamples by as much, before any network.

    Put it in front of a saliency network, ``nn.Sequential(NJetPrefilter(), SaliencyNet())``: the loader's low-resolution
    copy is then the finest input of the network, and sigma learns how much of it the network needs. It is the order 0 of
    :class:`GaussianJet`, run along rows and columns one after the other; beyond the border its pixels are repeated, so
    they count a little more than others. An even image stays as it is.

    Args:
        sigma: The initial standard deviation, in pixels of the input. Below 0.3 hardly anything is blurred, and hardly
            anything is learned.
        subsample: The ``r`` of :func:`safe_subsample`. None keeps the resolution.

    Raises:
        ValueError: An argument is out of range.

    Attributes:
        log2_sigma: (1,), the learned parameter: sigma is two to its power.

    Example:
        >>> NJetPrefilter(2.0)(torch.zeros(1, 3, 128, 96)).shape
        torch.Size([1, 3, 64, 48])
    """

    def __init__(self, sigma: float = 1.0, *, subsample: float | None = 1.0) -> None:
        super().__init__()
        check_positive(sigma=sigma, subsample=subsample)
        self.jet = GaussianJet(0, truncate=3.0)  # a separable kernel may be long
        self.subsample = subsample
        self.log2_sigma = nn.Parameter(torch.tensor([math.log2(sigma)]))

    @property
    def sigma(self) -> Float[Tensor, " 1"]:
        """The present standard deviation, in pixels of the input."""
        return self.log2_sigma.exp2()

    def forward(
        self, small: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel rows cols"]:
        """Return the blurred and subsampled images."""
        profile = self.jet.profiles(self.sigma)[0, 0].to(small.dtype)
        reach, channels = len(profile) // 2, small.shape[1]
        kernel = profile.expand(channels, 1, 1, -1)
        wide = pad(small, (reach, reach, reach, reach), mode="replicate")
        blurred = conv2d(conv2d(wide, kernel, groups=channels), kernel.mT, groups=channels)
        return blurred if self.subsample is None else safe_subsample(blurred, self.sigma, r=self.subsample)

    def extra_repr(self) -> str:
        """Say what is not a submodule, with sigma as it is now."""
        sigma = "?" if self.log2_sigma.is_meta else f"{float(self.sigma.detach()):.3g}"
        return f"sigma={sigma}, subsample={self.subsample}"
