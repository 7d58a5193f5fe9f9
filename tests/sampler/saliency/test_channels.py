"""Images of another number of channels than a network was made for."""

import re

import pytest
import torch
from torch import nn

from foveal.sampler import (
    BoxSaliency,
    MixedResolution,
    NJetSaliencyNet,
    PatchSampler,
    ResNet18Saliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    SpectralSaliency,
    UniformSampler,
)
from tests.checks import unhooked


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize(
    ("zoom", "network"),
    [
        (SaliencySampler(16), "SpectralSaliency"),
        (SaliencySampler(16, saliency=SpectralSaliency()), "SpectralSaliency"),
        (SaliencySampler(16, saliency=SaliencyUNet()), "SaliencyUNet"),
        (SaliencySampler(16, saliency=SaliencyNet()), "SaliencyNet"),
        (SaliencySampler(16, saliency=NJetSaliencyNet()), "NJetSaliencyNet"),
        (SaliencySampler(16, saliency=ResNet18Saliency()), "ResNet18Saliency"),
        (PatchSampler(2, 8, lowres_size=32), "ScoreNet"),
        (MixedResolution(2, patch_size=4, refined=1), "SpectralSaliency"),
    ],
)
def test_the_error_names_the_network(zoom: nn.Module, network: str, channels: int) -> None:
    """The error says what the network wants, and what to do."""
    images = torch.rand(1, channels, 40, 50)
    message = f"images must have 3 channels for {network}, got shape (1, {channels}, "
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(message)}.* – repeat a grey channel"):
        zoom(images)


def test_zooms_that_look_at_no_pixels_take_any_number() -> None:
    """Where no network looks at the image, its channels do not matter."""
    images = torch.rand(1, 5, 40, 50)

    assert UniformSampler(8)(images).images.shape == (1, 5, 8, 8)
    assert SaliencySampler(8, saliency=BoxSaliency())(images, boxes=[torch.zeros(0, 4)]).images.shape == (
        1,
        5,
        8,
        8,
    )
