"""The device that an option names."""

import torch


def parse_device(device: str) -> torch.device:
    """Return the device of this name; whether it exists is not checked, because it may be on another machine.

    Raises:
        ValueError: It is no name of a device.
    """
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu' or 'cuda', such as 'cuda:1', got {device!r}.")
    return found
