"""Chooses the device, and checks that there is one. No other module does this."""

import itertools

import torch
from torch import Tensor, nn


def choose_device(device: torch.device | str | None, zoom: nn.Module) -> torch.device:
    """Return the device on which images are decoded and zoomed.

    Args:
        device: The user's choice, if any.
        zoom: The sampler, whose parameters and buffers decide if it has any.

    Raises:
        ValueError: There is no such device, or the zoom is on another.
    """
    home = home_of(zoom)
    if device is None:
        return home or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wanted = existing_device(device)
    if home is not None and wanted != home:
        raise ValueError(
            f"device must be {str(home)!r}, where the zoom is, got {str(wanted)!r} – move it with zoom.to()."
        )
    return wanted


def existing_device(device: torch.device | str) -> torch.device:
    """Return the device of this name; ``"cuda"`` is the current one.

    Raises:
        ValueError: There is no such device.
    """
    wanted = _parsed(device)
    count = _count_gpus()
    if wanted.type != "cpu" and not (wanted.type == "cuda" and (wanted.index or 0) < count):
        raise ValueError(f"device must be {_there(count)}, got {device!r}.")
    if wanted.type == "cuda" and wanted.index is None:
        wanted = torch.device("cuda", torch.cuda.current_device())
    return wanted


def named_device(device: torch.device | str) -> torch.device:
    """Return the device of this name; whether it exists is not checked, because it may be on another machine.

    Raises:
        ValueError: It is no name of a device.
    """
    found = _parsed(device)
    if found.type not in ("cpu", "cuda"):
        raise _no_device(device)
    return found


def _parsed(device: torch.device | str) -> torch.device:
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise _no_device(device) from error


def _no_device(device: torch.device | str) -> ValueError:
    return ValueError(f"device must be 'cpu' or 'cuda', such as 'cuda:1', got {device!r}.")


def _count_gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _there(gpus: int) -> str:
    """Return the devices that are there, for a message."""
    if not gpus:
        return "'cpu', as torch finds no CUDA here"
    return (
        "'cpu' or 'cuda', of which there is one" if gpus == 1 else f"'cpu' or 'cuda:0' to 'cuda:{gpus - 1}'"
    )


def home_of(zoom: nn.Module) -> torch.device | None:
    """Return the device of a zoom's parameters and buffers; None if it has none."""
    tensors = itertools.chain(zoom.parameters(), zoom.buffers())
    return next((tensor.device for tensor in tensors), None)


def memory_of(device: torch.device) -> int:
    """Return how many bytes of memory a CUDA device has."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. A tensor from the host is copied through pinned memory, without waiting."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
