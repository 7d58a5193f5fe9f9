"""A trained zoom in one file."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import (
    BoxSaliency,
    FixedSaliency,
    LearnedSpectralSaliency,
    MapChannelSaliency,
    MapSaliency,
    NJetSaliencyNet,
    PriorSaliency,
    ResNet18Saliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    SpectralSaliency,
)
from foveal.sampler.zooms._checkpoint import describe_network
from tests.checks import unhooked

SETTINGS = {
    "lowres_size": (64, 48),
    "family": "separable",
    "fwhm_cells": 6.0,
    "padding": "replicate",
    "temperature": 0.25,
    "max_zoom": 4.0,
    "min_zoom": 0.5,
    "marginal": "max",
    "bound": "local",
    "antialias": False,
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
    "dtype": torch.float16,
    "channels_last": True,
}


class OwnNet(nn.Module):
    """A user's network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)

    def forward(self, small):
        return self.conv(small)


@pytest.mark.parametrize(
    "network", [SaliencyNet((9, 12)), ResNet18Saliency(), NJetSaliencyNet((7, 7)), SpectralSaliency()]
)
def test_it_zooms_again_as_it_did(network, tmp_path):
    """A checkpoint restores settings and weights, for each of Foveal's networks."""
    zoom = SaliencySampler((20, 30), saliency=network, **SETTINGS).eval()
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(
        tmp_path / "zoom.pt", saliency=SpectralSaliency() if isinstance(network, SpectralSaliency) else None
    ).eval()
    images = torch.rand(2, 3, 90, 70)

    assert again.settings == zoom.settings
    assert repr(again) == repr(zoom)
    with torch.no_grad():
        assert torch.equal(again(images).images, zoom(images).images)


NUMBERS_OF_NUMPY = [
    lambda: NJetSaliencyNet(order=3),
    lambda: NJetSaliencyNet(order=np.int64(1)),
    lambda: SaliencyNet(31),
    lambda: SaliencyNet((np.int64(9), np.int64(12)), channels=np.int64(3)),
    lambda: SaliencyUNet([9, 12]),
    lambda: ResNet18Saliency(np.int64(9)),
    lambda: SpectralSaliency(31, analysis_px=np.int64(32), sigma=np.float64(0.1), power=np.int64(6)),
    lambda: SpectralSaliency(uniform_share=np.float32(0.5)),
    lambda: LearnedSpectralSaliency(9, powers=np.array([2, 6])),
    lambda: BoxSaliency("json:boxes", np.int64(9), amplitude=np.float64(2), bandwidth=np.float32(0.1)),
    lambda: BoxSaliency("json:boxes", bandwidth=[np.float64(0.1), 1]),
    lambda: MapSaliency("npy", 9, floor=np.float64(0.1)),
    lambda: MapChannelSaliency("npy", SaliencyNet(9, channels=np.int64(4))),
    lambda: PriorSaliency(SaliencyNet(9), FixedSaliency(torch.ones(9, 9)), gain=np.float64(2)),
]


@pytest.mark.parametrize("make", NUMBERS_OF_NUMPY)
def test_what_the_constructor_takes_is_read_back(make, tmp_path):
    """Numbers of NumPy, lists and one number for both sides are saved as plain values, and orders of N-Jets are saved."""
    with unhooked():
        network = make()
    zoom = SaliencySampler(8, saliency=network)
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").saliency

    assert repr(again) == repr(network)
    assert describe_network(again) == describe_network(network)


@pytest.mark.parametrize("name", ["antialias", "channels_last"])
def test_switches_of_numpy(name, tmp_path):
    """A bool of NumPy is saved as a plain one."""
    with unhooked():
        zoom = SaliencySampler(8, **{name: np.bool_(True)})
    zoom.save_checkpoint(tmp_path / "zoom.pt")

    assert SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").settings[name] is True


def test_settings_are_all_there_are():
    """Every argument of the constructor is saved."""
    zoom = SaliencySampler((20, 30), **SETTINGS)

    assert zoom.settings == {"out_size": (20, 30), **SETTINGS}
    kept = {*zoom.settings, "compat", "condition"}  # which are left out at their defaults
    assert set(SaliencySampler.__init__.__annotations__) == {*kept, "saliency", "return"}


def test_what_shall_be_other(tmp_path):
    """A setting can be replaced when a checkpoint is loaded, and the others are kept."""
    zoom = SaliencySampler(20, **SETTINGS)
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt", out_size=32)

    assert again.settings == {**zoom.settings, "out_size": (32, 32)}


def test_a_network_of_ones_own(tmp_path):
    """A user's network is passed by the caller; without it, the message says so."""
    path = tmp_path / "zoom.pt"
    zoom = SaliencySampler(20, saliency=OwnNet())
    zoom.save_checkpoint(path)
    again = SaliencySampler.from_checkpoint(path, saliency=OwnNet())

    assert torch.equal(again.saliency.conv.weight, zoom.saliency.conv.weight)
    message = (
        "saliency must be given for a network that is none of SaliencyNet, SaliencyUNet, ResNet18Saliency, NJetSaliencyNet, got None for "
        "'OwnNet' – make it as for training and pass it."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SaliencySampler.from_checkpoint(path)
    message = "saliency must have the weights of the OwnNet that was saved, got SaliencyNet: "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        SaliencySampler.from_checkpoint(path, saliency=SaliencyNet())


@pytest.mark.parametrize("content", ["bytes", "weights", "newer"])
def test_files_that_are_none(content, tmp_path):
    """A file that is no checkpoint is an error that names the file."""
    path = tmp_path / "zoom.pt"
    zoom = SaliencySampler(20)
    if content == "bytes":
        path.write_bytes(b"not a file of torch's")
    elif content == "weights":
        torch.save(zoom.state_dict(), path)
    else:
        zoom.save_checkpoint(path)
        torch.save({**torch.load(path, weights_only=True), "version": 3}, path)
    message = (
        "checkpoint must be of version 2 or older, got 3 – update foveal."
        if content == "newer"
        else f"checkpoint must be a file that SaliencySampler.save_checkpoint wrote, got {str(path)!r} – for weights alone use "
        "load_state_dict."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SaliencySampler.from_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        SaliencySampler.from_checkpoint(tmp_path / "none.pt")
