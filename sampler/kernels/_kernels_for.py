"""Which kernels a device has: the one place that chooses."""

import functools
import importlib.util
from typing import Literal

import torch

_OLDEST = (7, 0)  # what Triton compiles for: Volta and later


def kernels_for(device: torch.device, dtype: torch.dtype) -> Literal["numba", "triton", "torch"]:
    """Return who computes there: Triton on CUDA, for float32, where it is installed; plain torch where nobody else does."""
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
