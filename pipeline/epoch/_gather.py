"""Collects the images of a batch in one tensor, micro-batch by micro-batch.

Joining them at the end would hold them twice, and each large batch would be written to new memory, which the system maps
page by page. Therefore they are copied as they come, into memory that is used again when the batch is freed.
"""

import math

import torch
from torch import Tensor

from foveal.pipeline.flow import Buffers


class Gather:
    """Collects tensors whose first dimension is the batch's.

    Args:
        capacity: The largest length of the batch.
        buffers: Memory for it; None to join the tensors at the end, which keeps graphs and other devices' memory.
    """

    def __init__(self, capacity: int, buffers: Buffers | None) -> None:
        self._capacity = capacity
        self._buffers = buffers
        self._parts: list[Tensor] = []
        self._whole: Tensor | None = None
        self._filled = 0

    def add(self, part: Tensor) -> None:
        """Take the next part. If there are buffers, it is copied and not kept."""
        # An empty tensor does not reveal its memory format.
        begins_empty = self._whole is None and not len(part)
        if self._buffers is None or begins_empty:
            self._parts.append(part)
            return
        if self._whole is None:
            self._whole = self._room_for(part, self._buffers)
        self._whole[self._filled : self._filled + len(part)] = part
        self._filled += len(part)

    def take(self) -> Tensor:
        """Return the batch, and begin another."""
        batch = torch.cat(self._parts) if self._whole is None else self._whole[: self._filled]
        self._parts, self._whole, self._filled = [], None, 0
        return batch

    def _room_for(self, part: Tensor, buffers: Buffers) -> Tensor:
        """Return an empty tensor for a batch of such parts, in the same memory format."""
        shape = part.shape[1:]
        each = math.prod(shape)
        channels_last = part.ndim == 4 and part.is_contiguous(memory_format=torch.channels_last)
        strides = torch.empty((1, *shape), device="meta").stride()
        if channels_last and not part.is_contiguous():
            strides = part.stride()
        memory = torch.from_numpy(buffers.take(self._capacity * each * part.element_size()))
        return memory.view(part.dtype).as_strided((self._capacity, *shape), (each, *strides[1:]))
