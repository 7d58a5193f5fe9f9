"""Networks that are made without memory, and filled later."""

import pytest
import torch
from torch import nn

from foveal.sampler import (
    AdaptiveDownsample,
    BoxSaliency,
    ClassActivationSaliency,
    FixedSaliency,
    MapSaliency,
    MixedResolution,
    NJetConv2d,
    NJetPrefilter,
    NJetSaliencyNet,
    PatchSampler,
    ResNet18Saliency,
    SaliencySampler,
    SaliencyUNet,
    ScoreNet,
    SpectralSaliency,
    TrunkSaliency,
)


def _trunk():
    return nn.Sequential(nn.Conv2d(3, 8, kernel_size=3, stride=4, padding=1), nn.Tanh())


def _classifier():
    return nn.Sequential(_trunk(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: AdaptiveDownsample(nn.Conv2d(3, 4, 3, 2, 1)),
        BoxSaliency,
        lambda: ClassActivationSaliency(_classifier(), layer="0"),
        lambda: FixedSaliency(torch.ones(5, 5)),
        MapSaliency,
        lambda: MixedResolution(4, patch_size=8, refined=3),
        lambda: NJetConv2d(3, 4, per="channel"),
        NJetPrefilter,
        NJetSaliencyNet,
        lambda: PatchSampler(2, 8),
        ResNet18Saliency,
        lambda: SaliencySampler(16),
        SaliencyUNet,
        ScoreNet,
        SpectralSaliency,
        lambda: TrunkSaliency(_trunk()),
    ],
)
def test_made_on_meta(make):
    """A network made on "meta", and printed, is the network whose weights it is given later."""
    torch.manual_seed(0)
    whole = make()
    with torch.device("meta"):
        empty = make()

    assert repr(empty)
    assert all(each.is_meta for each in empty.state_dict().values())
    filled = empty.to_empty(device="cpu")
    filled.load_state_dict(whole.state_dict())
    for name, value in whole.state_dict().items():
        assert torch.equal(filled.state_dict()[name], value)
