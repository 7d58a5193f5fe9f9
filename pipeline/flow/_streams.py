"""CUDA streams: decoding, zooming and the training script's own work run at the same time, and never use an unfinished tensor.

An epoch decodes on one stream, and zooms and collates on another; the training script has its own. Tensors that pass from
one to the next are ordered by events on the device, so no CPU thread waits. Memory is protected in the other direction:
torch's allocator is told which other streams read a tensor (``record_stream``); DALI's cannot be told, so it only writes
to the memory of images after the work that reads them (:meth:`Streams.reuse_after_here`).
"""

import dataclasses
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

import torch
from torch import Tensor

from foveal.pipeline.flow._background import Background

T = TypeVar("T")


class Streams:
    """The streams of an epoch on a CUDA device.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self.decode: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.zoom: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def produce(self, items: Generator[T] | Background[T]) -> Generator[tuple[T, torch.cuda.Event]]:
        """Run an iterator on the zoom stream; yield each item with the event after which it is complete.

        To be used in a separate thread, whose current stream stays the zoom stream between the items.
        """
        with torch.cuda.stream(self.zoom), closing(items):
            for item in items:
                yield item, self.zoom.record_event()
                del item

    def consume(self, items: Background[tuple[T, torch.cuda.Event]]) -> Generator[T]:
        """Yield the items to the consumer, on the consumer's current stream."""
        with closing(items):
            for item, ready in items:
                here = torch.cuda.current_stream(self.zoom.device)
                here.wait_event(ready)
                for tensor in tensors_in(item):
                    if tensor.is_cuda:
                        tensor.record_stream(here)
                yield item
                del item

    def reuse_after_here(self) -> None:
        """Make later decoding wait for all work that has been submitted to the current stream.

        Call it after images have been read and before they are freed: DALI owns their memory, and would write the next
        images to it at once.
        """
        self.decode.wait_stream(torch.cuda.current_stream(self.zoom.device))


def streams_for(device: torch.device) -> Streams | None:
    """Return an epoch's streams; None on a device without streams."""
    return Streams(device) if device.type == "cuda" else None


def tensors_in(item: Any) -> Iterator[Tensor]:
    """Yield the tensors in a batch of nested tuples, lists, dicts and dataclasses."""
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, dict):
        yield from tensors_in(list(item.values()))
    elif isinstance(item, list | tuple):
        for each in item:
            yield from tensors_in(each)
    elif dataclasses.is_dataclass(item) and not isinstance(item, type):
        yield from tensors_in([getattr(item, field.name) for field in dataclasses.fields(item)])
