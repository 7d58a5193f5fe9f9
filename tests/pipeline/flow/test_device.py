"""The device on which a loader works."""

import re
from unittest import mock

import pytest
import torch
from torch import nn

from foveal.pipeline.flow import choose_device, existing_device, named_device


def test_the_zoom_decides():
    """The loader works on the device of the zoom's parameters and buffers."""
    assert choose_device(None, nn.Linear(1, 1)) == torch.device("cpu")
    assert choose_device(None, nn.Linear(1, 1, device="meta")) == torch.device("meta")


def test_a_zoom_without_tensors_goes_where_it_is_fastest():
    """A zoom without tensors runs on a CUDA device if there is one."""
    assert choose_device(None, nn.Identity()).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu", nn.Identity()) == torch.device("cpu")


def test_a_device_that_is_not_the_zooms():
    """A device other than the zoom's is refused, and the message says how to change it."""
    message = "device must be 'meta', where the zoom is, got 'cpu' – move it with zoom.to()."
    with pytest.raises(ValueError, match=re.escape(message)):
        choose_device("cpu", nn.Linear(1, 1, device="meta"))


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "device must be 'cpu', as torch finds no CUDA here, got 'cuda'."),
        ("mps", "device must be 'cpu', as torch finds no CUDA here, got 'mps'."),
        ("gpu", "device must be 'cpu' or 'cuda', such as 'cuda:1', got 'gpu'."),
    ],
)
def test_devices_that_are_not_there(device, message):
    """A device that does not exist, or that no kernel is for, is named before anything is read."""
    without = mock.patch.object(torch.cuda, "is_available", return_value=False)
    with without, pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        choose_device(device, nn.Identity())


@pytest.mark.parametrize(
    ("device", "count", "there"),
    [
        ("cuda:7", 1, "'cpu' or 'cuda', of which there is one"),
        ("cuda:2", 2, "'cpu' or 'cuda:0' to 'cuda:1'"),
        ("mps", 1, "'cpu' or 'cuda', of which there is one"),
    ],
)
def test_a_gpu_beyond_the_last(device, count, there, monkeypatch):
    """A GPU with a number that no GPU has is refused, and the message says which there are."""
    monkeypatch.setattr("foveal.pipeline.flow._device._count_gpus", lambda: count)

    with pytest.raises(ValueError, match=f"^device must be {re.escape(there)}, got {device!r}\\.$"):
        existing_device(device)
    assert existing_device(f"cuda:{count - 1}") == torch.device("cuda", count - 1)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1"])
def test_devices_by_name(name):
    """A device is taken by its name, whether or not this machine has it."""
    assert named_device(name) == torch.device(name)


@pytest.mark.parametrize("name", ["bogus", "cuda:x", "", "meta"])
def test_what_is_no_name_of_a_device(name):
    """Everything else is refused with what there is."""
    with pytest.raises(
        ValueError, match=f"^device must be 'cpu' or 'cuda', such as 'cuda:1', got {name!r}\\.$"
    ):
        named_device(name)
