"""A network that returns NaN never gives a picture that looks valid."""

import re

import pytest
import torch
from torch import nn

from foveal.sampler import FixedSaliency, MixedResolution, PatchSampler, SaliencyNet, SaliencySampler
from tests.checks import unhooked
from tests.sampler.making import run_in

SAMPLERS = [
    lambda net: SaliencySampler(8, saliency=net),
    lambda net: SaliencySampler(8, saliency=net, family="cdf", max_zoom=2.0, dtype=torch.float16),
    lambda net: MixedResolution(2, refined=1, saliency=net),
    lambda net: PatchSampler(1, 4, score=net, lowres_size=16),
]


class Logits(nn.Module):
    """Returns the same logits for every image except some."""

    def __init__(self, others):
        super().__init__()
        self.others = others

    def forward(self, small):
        logits = torch.randn(len(small), 1, 5, 6, generator=torch.Generator().manual_seed(0))
        for image, value in self.others.items():
            logits[image, 0, 2, 3] = value
        return logits


@pytest.mark.parametrize("make", SAMPLERS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_images_without_saliency_are_nan(make, value):
    """An image with NaN logits is NaN everywhere, and the other images are unaffected."""
    images = [torch.randint(256, (30 + k, 40, 3), dtype=torch.uint8) for k in range(4)]
    shown = make(Logits({1: value, 3: value}))(images).images
    well = make(Logits({}))(images).images

    assert shown.isnan().flatten(1).all(1).tolist() == [False, True, False, True]
    assert torch.equal(shown[::2], well[::2])


@pytest.mark.parametrize("make", SAMPLERS)
def test_minus_infinity_in_places_is_a_map(make):
    """Logits of minus infinity in some places are valid: a prior of zero has this logarithm."""
    weights = torch.rand(5, 6)
    weights[:2] = 0
    shown = make(FixedSaliency(weights))([torch.zeros(30, 40, 3, dtype=torch.uint8)]).images

    assert shown.isfinite().all()


def test_the_loss_is_nan():
    """The loss is NaN, so that e.g. a gradient scaler notices it."""
    zoom = SaliencySampler(8, saliency=SaliencyNet())
    with torch.no_grad():
        zoom.saliency.detail.weight[0, 3] = torch.nan
    loss = zoom([torch.randint(256, (30, 40, 3), dtype=torch.uint8)]).images.square().mean()

    assert loss.isnan()


@pytest.mark.slow
def test_a_compiled_sampler_has_the_same(tmp_path):
    """A compiled sampler does the same without a branch on the data."""
    run_in(
        tmp_path,
        """
        import torch
        from foveal.sampler import SaliencyNet, SaliencySampler
        image, zoom = torch.rand(2, 3, 30, 40), SaliencySampler(8, saliency=SaliencyNet())
        compiled = torch.compile(zoom, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(image).images, zoom(image).images, atol=1e-5, rtol=0)
        with torch.no_grad():
            zoom.saliency.detail.weight[0, 3] = torch.nan
        assert compiled(image).images.isnan().all()
        """,
    )


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 2, 5, 6), (1, 1, 5, 6), (2, 1, 0, 6)])
@pytest.mark.parametrize("make", [SAMPLERS[0], SAMPLERS[2]])
def test_logits_of_another_shape(make, shape):
    """Logits of a wrong shape are refused with the network's name."""

    class Wrong(nn.Module):
        def forward(self, small):
            return torch.zeros(shape)

    message = (
        f"saliency must return (batch, 1, rows, cols) logits, got shape {shape!r} from Wrong for 2 images."
    )
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(Wrong())(torch.rand(2, 3, 30, 40))
