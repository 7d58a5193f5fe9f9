"""A convolution that learns at which scale to look (Pintea et al. 2021)."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from foveal.sampler.njet._gaussian_jet import GaussianJet
from foveal.sampler.njet._safe_subsample import check_positive, safe_subsample

Per = Literal["layer", "channel"]
"""The unit that has its own scale in an :class:`NJetConv2d`."""

# Filters that nearly vanish at the initial scale are multiplied by at most 100 times as much as the strongest, instead of
# by infinity.
_WEAKEST = 0.01


class NJetConv2d(nn.Module):
    """A convolution whose kernels are sums of Gaussian derivatives, with learned weights and a learned sigma.

    It replaces ``nn.Conv2d(in_channels, out_channels, k, padding=k // 2, bias=False)`` and should be followed by a
    normalisation. The kernel's size follows sigma (5, 7, 9, 11, 19 pixels for 0.5, 1, 1.41, 2, 4), so a layer learns how
    far it reaches. The outermost pixels fade in (:class:`GaussianJet`), so that the output is continuous in sigma and its
    gradient is right, also where the size changes.

    Weight decay on ``log2_sigma`` would pull sigma to 1: give it a parameter group without, and a higher learning rate.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        order: Highest order of the derivatives, 0 to 10.
        sigma: The initial scale, in pixels of the input.
        per: One sigma for the "layer", as published, or one for each output "channel". The kernel's size is that of the
            largest.
        groups: As in ``nn.Conv2d``.
        truncate: As in :class:`GaussianJet`.
        subsample: The ``r`` of :func:`safe_subsample`, which reduces the output: a layer that learns a large sigma leaves
            less work for the next. None keeps the resolution.
        as_published: The published filters; the published subsampling, of the input; weights drawn from N(0, 1) that
            multiply the filters as they are. If false, each filter is multiplied by a constant that gives it a norm of 1
            at the initial scale: the weights, and an optimiser's steps, are then of the size of an ordinary convolution's.

    Raises:
        ValueError: An argument is out of range.

    Attributes:
        log2_sigma: (1,) or (out_channels,), learned: sigma is its power of two.
        alpha: (out_channels, in_channels / groups, filters), learned: the weights, filters as in ``GaussianJet.orders``.
        gain: (filters,), the constant factor of each filter.

    Example:
        >>> NJetConv2d(3, 16, sigma=2.0, subsample=1.0)(torch.zeros(1, 3, 64, 48)).shape
        torch.Size([1, 16, 32, 24])
    """

    gain: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        order: int = 2,
        sigma: float = 1.0,
        per: Per = "layer",
        groups: int = 1,
        truncate: float = 2.0,
        subsample: float | None = None,
        as_published: bool = False,
    ) -> None:
        super().__init__()
        _check({"in_channels": in_channels, "out_channels": out_channels}, per, groups)
        check_positive(sigma=sigma, subsample=subsample)
        self.jet = GaussianJet(order, truncate=truncate, as_published=as_published)
        self.groups = groups
        self.subsample = subsample
        scales = 1 if per == "layer" else out_channels
        self.log2_sigma = nn.Parameter(torch.full((scales,), math.log2(sigma)))
        weights = torch.randn(out_channels, in_channels // groups, len(self.jet.orders))
        self.alpha = nn.Parameter(weights if as_published else weights / math.sqrt(weights[0].numel()))
        self.register_buffer("gain", self._gain())

    @property
    def sigma(self) -> Float[Tensor, " scales"]:
        """The present scale, in pixels of the input."""
        return self.log2_sigma.exp2()

    def weight(self) -> Float[Tensor, "out in size size"]:
        """Return the kernels as ``conv2d`` takes them, in the precision of the parameters also under autocast."""
        with torch.autocast(self.alpha.device.type, enabled=False):
            filters = self.jet.filters(self.sigma).to(self.alpha)
            weights = self.alpha * self.gain
            if len(filters) == 1:
                return torch.einsum("ocf,fhw->ochw", weights, filters[0])
            return torch.einsum("ocf,ofhw->ochw", weights, filters)

    def forward(
        self, features: Float[Tensor, "batch in height width"]
    ) -> Float[Tensor, "batch out rows cols"]:
        """Convolve, with zeros beyond the border, and subsample if that is set."""
        published = self.jet.as_published
        if published:
            features = self._subsampled(features)
        weight = self.weight()
        found = conv2d(features, weight, padding=weight.shape[-1] // 2, groups=self.groups)
        return found if published else self._subsampled(found)

    def extra_repr(self) -> str:
        """Say what is not a submodule, with the scales as they are now."""
        outputs, inputs, _ = self.alpha.shape
        if self.alpha.is_meta:
            scales = "?"
        else:
            low, high = (float(end) for end in self.sigma.detach().aminmax())
            scales = f"{low:.3g}" if len(self.log2_sigma) == 1 else f"{low:.3g}..{high:.3g}"
        return (
            f"{inputs * self.groups}, {outputs}, order={self.jet.order}, sigma={scales}, groups={self.groups}, "
            f"truncate={self.jet.truncate}, subsample={self.subsample}, as_published={self.jet.as_published}"
        )

    def _subsampled(
        self, features: Float[Tensor, "batch channel _height _width"]
    ) -> Float[Tensor, "batch channel rows cols"]:
        if self.subsample is None:
            return features
        return safe_subsample(features, self.sigma, r=self.subsample, as_published=self.jet.as_published)

    @torch.no_grad()
    def _gain(self) -> Float[Tensor, " filters"]:
        if self.alpha.is_meta:  # without numbers: they come with the weights
            return self.alpha.new_empty(len(self.jet.orders))
        size = self.jet.filters(self.sigma[:1])[0].flatten(1).norm(dim=1)
        if self.jet.as_published:
            size = torch.ones_like(size)
        gain: Tensor = 1 / size.clamp(min=_WEAKEST * float(size.max()))
        return gain.to(self.alpha)


def _check(channels: dict[str, int], per: str, groups: int) -> None:
    for name, count in channels.items():
        if count < 1 or groups < 1 or count % groups:
            raise ValueError(f"{name} must be a multiple of groups ({groups!r}), got {count!r}.")
    if per not in get_args(Per):
        raise ValueError(f'per must be "layer" or "channel", got {per!r}.')
