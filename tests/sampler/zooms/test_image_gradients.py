"""The derivative of what a zoom returns by floating-point images, through the pixels and through the saliency, against finite differences."""

import pytest
import torch
from torch import nn

from foveal.sampler import (
    AttentionSaliency,
    ClassActivationSaliency,
    FixedSaliency,
    MixedResolution,
    NJetSaliencyNet,
    PatchSampler,
    PriorSaliency,
    ResNet18Saliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    SpectralSaliency,
    TrunkSaliency,
    UniformSampler,
)

# What computes in float32 is differenced over a longer way, and less exactly.
_SINGLE, _DOUBLE = (1e-4, 0.03), (1e-6, 1e-4)
_LOW = (32, 32)


class _Tokens(nn.Module):
    """A vision transformer of one attention layer."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, kernel_size=4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images):
        tokens = 5 * self.embed(images).flatten(2).mT
        return self.attention(tokens, tokens, tokens)[0]


def _trunk():
    return nn.Sequential(nn.Conv2d(3, 8, kernel_size=3, stride=4, padding=1), nn.Tanh())


def _classifier():
    return nn.Sequential(_trunk(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)).requires_grad_(
        False
    )


class _Deaf(SaliencyNet):
    """A network whose image loses its gradient."""

    def forward(self, small):
        return super().forward(small.detach())


SOURCES = {
    "default": (PriorSaliency, _DOUBLE),
    "spectral": (SpectralSaliency, _DOUBLE),
    "fixed": (lambda: FixedSaliency(0.1 + torch.rand(7, 9, dtype=torch.float64)), _DOUBLE),
    "net": (lambda: SaliencyNet(contrast=0.1), _DOUBLE),
    "unet": (SaliencyUNet, _DOUBLE),
    "njet": (NJetSaliencyNet, _DOUBLE),
    "resnet18": (ResNet18Saliency, _DOUBLE),
    "trunk": (lambda: TrunkSaliency(_trunk(), lowres_size=_LOW), _DOUBLE),
    "evidence": (
        lambda: ClassActivationSaliency(_classifier(), layer="0", lowres_size=_LOW),
        _SINGLE,
    ),
    "attention": (lambda: AttentionSaliency(_Tokens(), lowres_size=_LOW), _SINGLE),
}
ZOOMS = {
    "exact": {},
    "bounded": {"max_zoom": 1.2},
    "locally": {"max_zoom": 1.2, "bound": "local"},
    "separable": {"family": "separable", "max_zoom": 1.2},
    "cdf": {"family": "cdf"},
    "cdf locally": {"family": "cdf", "max_zoom": 1.2, "bound": "local"},
    "points": {"antialias": False},
    "published": {"compat": "align_corners", "antialias": False},
}


def _sampler(saliency, **settings):
    torch.manual_seed(0)
    made = saliency()
    for weight in made.parameters():
        if not weight.any():  # the last layers of some begin at zero, which hides a path
            nn.init.normal_(weight, std=0.1)
    return SaliencySampler(12, saliency=made, lowres_size=_LOW, **{"max_zoom": None, **settings})


def check_derivative(zoom, images, accuracy):
    """Check the derivative of a weighted sum of the pixels along some directions."""
    nudge, tolerance = accuracy
    zoom = zoom.double().eval()
    weights = torch.randn_like(zoom(images).images)
    ways = torch.randn(4, *images.shape, dtype=images.dtype)

    def total(at):
        return (zoom(at).images * weights).sum()

    leaf = images.clone().requires_grad_()
    total(leaf).backward()
    with torch.no_grad():
        expected = torch.stack(
            [(total(images + nudge * way) - total(images - nudge * way)) / (2 * nudge) for way in ways]
        )
    found = (leaf.grad * ways).flatten(1).sum(dim=1)
    assert (found - expected).norm() <= tolerance * expected.norm()


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(2, 3, 40, 56, dtype=torch.float64)


@pytest.mark.parametrize("source", SOURCES)
def test_through_every_saliency(source, images):
    """The gradient by the images is that of the whole zoom, whatever its saliency is made of."""
    saliency, accuracy = SOURCES[source]

    check_derivative(_sampler(saliency), images, accuracy)


@pytest.mark.parametrize("settings", ZOOMS.values(), ids=ZOOMS)
def test_through_every_grid(settings, images):
    """The gradient by the images is that of the whole zoom, whatever its grid."""
    check_derivative(_sampler(lambda: SaliencyNet(contrast=0.3), **settings), images, _DOUBLE)


@pytest.mark.parametrize(
    "make",
    [
        lambda: UniformSampler(12),
        lambda: MixedResolution(3, patch_size=4, refined=3, saliency=SaliencyNet(), lowres_size=_LOW),
        lambda: PatchSampler(2, 12, lowres_size=_LOW),
    ],
    ids=["uniform", "mixed", "patches"],
)
def test_through_zooms_that_choose(make, images):
    """Where a zoom chooses, the gradient by the images is that of what was chosen."""
    torch.manual_seed(0)

    check_derivative(make(), images, _DOUBLE)


def test_a_path_that_is_missing_is_found(images):
    """The check fails for a saliency whose image loses its gradient."""
    with pytest.raises(AssertionError):
        check_derivative(_sampler(lambda: _Deaf(contrast=0.3)), images, _DOUBLE)
