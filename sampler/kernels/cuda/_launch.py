"""Launch a Triton kernel with the settings they all share."""

from contextlib import nullcontext
from typing import Any

import torch


def launch(kernel: Any, programs: int, device: torch.device, *arguments: Any, **constants: Any) -> None:
    """Start so many programs of a kernel on ``device``, on its current stream, and do not wait for them.

    Multiplications and additions stay apart, but where a kernel asks for ``fma``: so footprints are those of the CPU to
    the bit.
    """
    if programs == 0:  # the driver refuses it
        return
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        kernel[(programs,)](*arguments, **constants, enable_fp_fusion=False)
