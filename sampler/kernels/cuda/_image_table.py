"""The table of images for one launch over a ragged batch: the address and size of each."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor


def image_table(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], device: torch.device
) -> Int64[Tensor, "batch 3"]:
    """Return each image's address, height and width, on ``device``, without waiting for it.

    The images must be contiguous and on that device, and the caller must keep them alive until the launch is enqueued.
    Memory that was allocated for another stream is not reused before the current stream has reached this point.

    Raises:
        RuntimeError: A CUDA graph is being captured: it would read these addresses again when it is replayed.
    """
    on_cuda = device.type == "cuda"
    if on_cuda and torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "the current stream must not be capturing a CUDA graph, got one that is – "
            "sample and take low-resolution copies before: image addresses change from batch to batch."
        )
    if on_cuda:
        stream = torch.cuda.current_stream(device)
        for image in images:
            image.record_stream(stream)
    rows = [(image.data_ptr(), image.shape[0], image.shape[1]) for image in images]
    return on_device([number for row in rows for number in row], device).view(-1, 3)


def on_device(numbers: Sequence[int], device: torch.device) -> Int64[Tensor, " _count"]:
    """Return whole numbers on ``device``, without waiting for it."""
    table = torch.tensor(numbers, dtype=torch.int64, pin_memory=device.type == "cuda")
    return table.to(device, non_blocking=True)
