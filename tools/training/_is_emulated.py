"""Which number formats a processor computes without instructions for them, many times slower than float32."""

import torch

from foveal.tools.console.choices import Amp


def is_emulated(amp: Amp, device: torch.device) -> bool:
    """Return whether the device has to emulate a number format: a processor without the instructions that oneDNN asks for.

    On one with AVX2 alone bf16 trained a seventh of the images a second that float32 did; fp16 needs AVX512-FP16 or AMX.
    """
    if amp == "off" or device.type != "cpu":
        return False
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return True
    # Public are only the names of some instructions, not what oneDNN needs.
    return not getattr(torch.ops.mkldnn, f"_is_mkldnn_{amp}_supported")()
