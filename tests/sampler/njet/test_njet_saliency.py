"""A saliency network that learns its own resolution."""

import re

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import nn

from foveal.sampler import NJetConv2d, NJetPrefilter, NJetSaliencyNet, SaliencyNet, SaliencySampler
from tests.checks import check_close, unhooked

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def images():
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, (h, w, 3), dtype=torch.uint8, generator=draw) for h, w in ((90, 70), (60, 80))
    ]


@pytest.mark.parametrize("sigma", [0.6, 1.3, 2.5])
def test_prefilter_is_scipys_gaussian(sigma):
    """The blur equals scipy's with repeated borders, up to what is cut off, and keeps the mean."""
    image = np.random.default_rng(0).random((33, 27))
    ours = NJetPrefilter(sigma, subsample=None).double()(torch.from_numpy(image)[None, None])
    theirs = scipy.ndimage.gaussian_filter(image, sigma, mode="nearest")

    check_close(ours[0, 0], theirs, 0.01)
    check_close(ours.mean(), image.mean(), 5e-3)


def test_prefilter_leaves_a_flat_image_flat():
    """A flat image stays flat at any scale, without a dark border."""
    flat = torch.full((1, 3, 16, 12), 0.7)

    check_close(NJetPrefilter(20.0, subsample=None)(flat), flat, 1e-6)


def test_prefilter_subsamples_as_it_blurs():
    """A blur of two pixels halves the resolution, and the size follows the learned scale."""
    prefilter = NJetPrefilter(2.0)

    assert prefilter(torch.zeros(2, 3, 64, 48)).shape == (2, 3, 32, 24)
    with torch.no_grad():
        prefilter.log2_sigma += 1
    assert prefilter(torch.zeros(2, 3, 64, 48)).shape == (2, 3, 16, 12)
    assert repr(prefilter) == "NJetPrefilter(sigma=4, subsample=1.0)"


def test_prefilter_gradient():
    """Gradients by image and scale are right."""
    prefilter = NJetPrefilter(1.1).double()
    image = torch.rand(1, 2, 7, 6, dtype=torch.float64, requires_grad=True)

    def run(image, log2_sigma):
        return torch.func.functional_call(prefilter, {"log2_sigma": log2_sigma}, (image,))

    assert torch.autograd.gradcheck(run, (image, prefilter.log2_sigma))


@pytest.mark.parametrize(
    "saliency", [NJetSaliencyNet, lambda map_size: nn.Sequential(NJetPrefilter(), SaliencyNet(map_size))]
)
def test_shape_batching_and_first_map(saliency):
    """Logits have the requested size, do not depend on the batch, and are nearly uniform at first, as SaliencyNet's."""
    small = torch.rand(3, 3, 64, 48)
    module = saliency(map_size=(9, 14)).train()
    logits = module(small)
    weights = logits.flatten(1).softmax(dim=1) * 9 * 14

    assert logits.shape == (3, 1, 9, 14)
    check_close(logits, torch.cat([module(one[None]) for one in small]), 1e-5)
    assert 0.67 < weights.min() < weights.max() < 1.5


def test_looks_at_the_resolutions_of_saliency_net():
    """At first the network works at a quarter of the resolution for details and an eighth for context."""
    net = NJetSaliencyNet()
    details = net.stem(torch.rand(1, 3, 128, 128))

    assert details.shape == (1, 32, 32, 32)
    assert net.context(details).shape == (1, 64, 16, 16)


def scales(module):
    return [m.log2_sigma for m in module.modules() if isinstance(m, NJetConv2d | NJetPrefilter)]


@pytest.mark.parametrize(
    "saliency", [NJetSaliencyNet(), nn.Sequential(NJetPrefilter(), SaliencyNet())], ids=["net", "prefilter"]
)
def test_learns_through_the_sampler(saliency, images):
    """A loss of zoomed pixels has gradients for every weight and scale, and steps against them lower it."""
    zoom = SaliencySampler(24, saliency=saliency, lowres_size=(64, 64), temperature=0.25)
    optimiser = torch.optim.Adam(saliency.parameters(), lr=1e-2)
    ramp = torch.linspace(0, 1, 24)
    before = [s.detach().clone() for s in scales(saliency)]
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss = (zoom(images).grid[..., 0] * ramp).mean()
        loss.backward()
        without = [name for name, p in saliency.named_parameters() if not p.grad.abs().sum() > 0]
        optimiser.step()
        losses.append(float(loss.detach()))

    assert without == []
    assert losses[-1] < losses[0]
    assert all(not torch.equal(a, b) for a, b in zip(before, scales(saliency), strict=True))


def test_pixels_reach_the_scales(images):
    """Scales have gradients through the backward of `sample`."""
    zoom = SaliencySampler(16, saliency=NJetSaliencyNet(order=3), lowres_size=(48, 48))
    zoom(images).images.square().mean().backward()

    assert len(scales(zoom)) == 4
    assert all(s.grad.abs() > 0 for s in scales(zoom))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": -1.0}, "sigma must be positive and finite, got -1.0."),
        ({"subsample": 0.0}, "subsample must be positive and finite, got 0.0."),
    ],
)
def test_messages(arguments, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        NJetPrefilter(**arguments)
    with pytest.raises(ValueError, match="order must be between 0 and 10, got 11"):
        NJetSaliencyNet(order=11)
