"""Launch a Triton kernel with the settings they all share."""

from contextlib import nullcontext
from typing import Any

import torch


def launch(kernel: Any, programs: int, device: torch.device, *arguments: Any, **constants: Any) -> None:
    """Start this many programs of a kernel on the current stream of ``device``, without waiting for them.

    Multiplications and additions are not fused, except where a kernel uses ``fma``, so that footprints equal those of the
    CPU bit for bit.
    """
    if programs == 0:  # the driver refuses it
        return
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        kernel[(programs,)](*arguments, **constants, enable_fp_fusion=False)
