"""A trained zoom in one file."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

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


def compiled(module):
    """Compile a module, as far as it matters here."""
    return torch.compile(module, backend="eager")


def _as_it_is(module):
    return module


class Around(nn.Module):
    """A user's network with a part that is wrapped."""

    def __init__(self, wrap):
        super().__init__()
        self.part = wrap(OwnNet())

    def forward(self, small):
        return self.part(small)


@pytest.mark.parametrize("wrap", [compiled, AveragedModel, nn.DataParallel, checkpoint_wrapper, lambda part: compiled(AveragedModel(part))])  # fmt: skip
@pytest.mark.parametrize("place", ["whole", "network", "prior", "layer"])
def test_what_is_wrapped_is_saved_without_its_wrapper(wrap, place, tmp_path):
    """A file is the same whatever the network or a part of it is wrapped in, with the gain that stands beside the weights."""
    zoom = SaliencySampler(8, saliency=PriorSaliency(SaliencyUNet(9), SpectralSaliency(9), gain=2.0))
    zoom.save_checkpoint(tmp_path / "plain.pt")
    if place == "whole":
        zoom.saliency = wrap(zoom.saliency)
    elif place == "layer":
        zoom.saliency.network.fine = wrap(zoom.saliency.network.fine)
    else:
        setattr(zoom.saliency, place, wrap(getattr(zoom.saliency, place)))
    zoom.save_checkpoint(tmp_path / "wrapped.pt")
    plain, wrapped = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("plain", "wrapped"))
    names = list(plain.pop("weights").items()), list(wrapped.pop("weights").items())

    assert wrapped == plain
    assert [name for name, _ in names[1]] == [name for name, _ in names[0]]
    assert all(torch.equal(ours, theirs) for (_, ours), (_, theirs) in zip(*names, strict=True))
    assert SaliencySampler.from_checkpoint(tmp_path / "wrapped.pt").saliency.gain == 2.0


@pytest.mark.parametrize("wrap", [compiled, nn.DataParallel, checkpoint_wrapper])
def test_ones_own_network_may_be_wrapped_or_not(wrap, tmp_path):
    """What was saved wrapped is loaded into one that is not, and the other way round."""
    for k, (first, second) in enumerate([(wrap, _as_it_is), (_as_it_is, wrap), (wrap, wrap)]):
        before, after = Around(first), Around(second)
        path = tmp_path / f"{k}.pt"
        SaliencySampler(8, saliency=before).save_checkpoint(path)
        SaliencySampler.from_checkpoint(path, saliency=after)
        small = torch.rand(1, 3, 9, 9)

        assert torch.equal(after(small), before(small))


def test_sharded_weights(run_plain):
    """They are refused with what to do, which works; a network whose class FSDP2 replaced is known."""
    run_plain("""
        import io, torch, torch.distributed as dist
        from foveal.sampler import SaliencySampler
        from foveal.sampler.zooms._checkpoint import describe_network
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
        dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
        zoom, whole = SaliencySampler(8), SaliencySampler(8)
        described = describe_network(zoom.saliency)
        fully_shard(zoom.saliency.network, mesh=init_device_mesh("cpu", (1,)))
        fully_shard(zoom.saliency, mesh=init_device_mesh("cpu", (1,)))
        assert type(zoom.saliency).__name__ == "FSDPPriorSaliency"
        assert describe_network(zoom.saliency) == described
        try:
            zoom.save_checkpoint(io.BytesIO())
        except ValueError as error:
            assert str(error) == (
                "weights must be whole to be saved, got a shard of 'network.fine.0.0.weight' – call torch.distributed.checkpoint.state_dict."
                "get_model_state_dict(zoom, options=StateDictOptions(full_state_dict=True)) on all ranks, load what it returns into a "
                "zoom that is not sharded, and save that."
            )
        else:
            raise AssertionError
        whole.load_state_dict(get_model_state_dict(zoom, options=StateDictOptions(full_state_dict=True)))
        whole.save_checkpoint(file := io.BytesIO())
        file.seek(0)
        assert set(torch.load(file, weights_only=True)["weights"]) == set(whole.saliency.state_dict())
    """)


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
