"""Chooses the kernels for a device. No other module does this."""

import functools
import importlib.util
from typing import Literal

import torch

_OLDEST = (7, 0)  # the GPUs that Triton supports: Volta and later


def kernels_for(device: torch.device, dtype: torch.dtype) -> Literal["numba", "triton", "torch"]:
    """Return the kernels for a device: numba on the CPU; Triton on CUDA for float32, if it is installed; otherwise plain torch."""
    if device.type == "cpu":
        return "numba"
    return "triton" if dtype == torch.float32 and _has_triton(device) else "torch"


@functools.cache
def _has_triton(device: torch.device) -> bool:
    return (
        device.type == "cuda"
        and importlib.util.find_spec("triton") is not None
        and torch.cuda.get_device_capability(device) >= _OLDEST
    )
