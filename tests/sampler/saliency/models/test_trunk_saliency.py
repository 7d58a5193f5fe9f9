"""Saliency from a pretrained trunk."""

import re
import sys

import pytest
import torch
from torch import nn

from foveal.sampler import PriorSaliency, SaliencySampler, SpectralSaliency, TrunkSaliency
from tests.sampler.saliency.models import small_timm

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _small_timm(monkeypatch):
    small_timm.install(monkeypatch)


def images(batch=2, size=(64, 64)):
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def loud(saliency):
    """Return weights of a head that has been trained."""
    nn.init.normal_(saliency.head.weight, std=0.3, generator=torch.Generator().manual_seed(2))
    return saliency


@pytest.mark.parametrize(
    "wrap",
    [
        dict,
        lambda state: {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"model": state},
    ],
)
def test_weights_come_from_a_file(tmp_path, wrap):
    """All weights of the trunk are loaded from any training script's file; those of the classifier are left out."""
    expected = small_timm.weights(tmp_path / "small.pth", wrap)
    saliency = TrunkSaliency("timm:small", weights=tmp_path / "small.pth", lowres_size=64)
    found = saliency.model.state_dict()

    assert {key.removeprefix("model.") for key in found} == {key for key in expected if "fc" not in key}
    assert all(torch.equal(value, expected[key.removeprefix("model.")]) for key, value in found.items())


def test_a_file_of_another_model_is_refused(tmp_path):
    """A file with a missing weight is refused, with the names of file and weight."""
    state = small_timm.weights(tmp_path / "small.pth")
    del state["third.weight"]
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(
        ValueError, match=r"weights must hold all weights of Small, got .*other.pth' without 'third.weight'"
    ):
        TrunkSaliency("timm:small", weights=tmp_path / "other.pth")

    state["third.weight"] = torch.zeros(9, 6, 3, 3)
    torch.save(state, tmp_path / "wide.pth")
    with pytest.raises(
        ValueError, match=r"weights must fit Small, got .*wide.pth': size mismatch for third.weight"
    ):
        TrunkSaliency("timm:small", weights=tmp_path / "wide.pth")


def test_it_begins_with_the_prior():
    """A new head adds nothing to the prior; without a prior its map is uniform."""
    network = TrunkSaliency("timm:small", lowres_size=64)
    small = images()

    assert torch.equal(network(small), torch.zeros(2, 1, 31, 31))
    prior = SpectralSaliency()
    assert torch.equal(PriorSaliency(network, prior, gain=1.0).eval()(small), prior(small))


def test_a_frozen_trunk_stays_and_the_head_learns():
    """With a frozen trunk only the head has gradients; with ``frozen=False`` all weights; statistics never change."""
    for frozen in (True, False):
        saliency = loud(TrunkSaliency("timm:small", lowres_size=64, frozen=frozen)).train()
        before = {key: value.clone() for key, value in saliency.state_dict().items()}
        first, again = saliency(images()), saliency(images())
        (first * torch.rand_like(first)).sum().backward()
        learn = {name for name, weight in saliency.named_parameters() if weight.grad is not None}

        assert torch.equal(first, again)
        assert all(torch.equal(value, before[key]) for key, value in saliency.state_dict().items())
        assert any(name.startswith("model.") for name in learn) is not frozen
        assert {"head.weight", "norm.weight", "joints.0.weight", "joints.1.weight"} <= learn


@pytest.mark.parametrize("place", [(0.27, 0.61), (0.9, 0.1), (0.52, 0.98)])
def test_features_keep_their_places(place):
    """The map of a single dot is brightest at the dot."""
    trunk = nn.Conv2d(3, 1, 9, stride=4, padding=1, bias=False)  # its windows begin beside the image's edge
    nn.init.constant_(trunk.weight, 1 / 243)
    saliency = TrunkSaliency(trunk, lowres_size=128, mean=(0.0,) * 3, std=(1.0,) * 3)
    with torch.no_grad():
        saliency.joints[0].weight.fill_(1.0)
        saliency.joints[0].bias.zero_()
        saliency.head.weight.fill_(1.0)
        saliency.norm = nn.Identity()
    y, x = torch.meshgrid(*[(torch.arange(128) + 0.5) / 128] * 2, indexing="ij")
    dot = torch.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * 0.03**2)).expand(1, 3, -1, -1)
    node = saliency(dot)[0, 0].argmax().item()

    assert abs(node // 31 / 30 - place[0]) <= 1 / 30
    assert abs(node % 31 / 30 - place[1]) <= 1 / 30


def test_a_zoom_with_it_is_one_file(tmp_path):
    """A checkpoint holds the trunk's weights, so their file is not needed; a trunk of your own is passed again."""
    small_timm.weights(tmp_path / "small.pth")
    network = loud(TrunkSaliency("timm:small", weights=tmp_path / "small.pth", lowres_size=64, frozen=False))
    zoom = SaliencySampler(16, saliency=PriorSaliency(network), lowres_size=(64, 64)).eval()
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    (tmp_path / "small.pth").unlink()
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").eval()

    assert torch.equal(again(images()).images, zoom(images()).images)
    assert again.saliency.network.frozen is False
    assert again.lowres_size == (64, 64)

    own = SaliencySampler(16, saliency=TrunkSaliency(nn.Conv2d(3, 4, 8, 8)))
    own.save_checkpoint(tmp_path / "own.pt")
    with pytest.raises(ValueError, match="saliency must be given for a network"):
        SaliencySampler.from_checkpoint(tmp_path / "own.pt")
    SaliencySampler.from_checkpoint(tmp_path / "own.pt", saliency=TrunkSaliency(nn.Conv2d(3, 4, 8, 8)))


def test_trunks_of_yours_return_features_in_several_ways():
    """A trunk may return a tensor, a list, or a dictionary as torchvision's feature extractors do."""

    class Named(nn.Module):
        def forward(self, images):
            return {"a": images[..., ::4, ::4], "b": images[..., ::8, ::8]}

    assert [each.weight.shape[1] for each in TrunkSaliency(Named(), lowres_size=64).joints] == [3, 3]
    assert len(TrunkSaliency(nn.Conv2d(3, 5, 8, 8), lowres_size=64).joints) == 1


@pytest.mark.parametrize(
    ("trunk", "more", "message"),
    [
        ("resnet18", {}, "trunk must be 'timm:NAME' or 'torchvision:NAME', got 'resnet18'."),
        (nn.Conv2d(3, 4, 8, 8), {"weights": "w.pth"}, "weights must be None for a module, got 'w.pth'"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2)),
            {"lowres_size": 64},
            "trunk must return features (batch, channels, rows, cols), one tensor or several, got Tensor.",
        ),
    ],
)
def test_what_is_no_trunk(trunk, more, message):
    """Anything else is refused, with what to do."""
    with pytest.raises(ValueError, match=re.escape(message)):
        TrunkSaliency(trunk, **more)


def test_a_library_that_is_not_installed(monkeypatch):
    """The error names the library and how to install it."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError, match="'timm:resnet18' needs timm: pip install timm"):
        TrunkSaliency("timm:resnet18")
