"""CUDA streams: decoding, zooming and the training script's own work run beside each other, and never on half a tensor.

An epoch decodes on one stream and looks, zooms and collates on another; the training script has its own. What goes from
one to the next is ordered by events, on the device: no processor waits. Memory is guarded in the other direction.
torch's allocator is told who else reads a tensor (``record_stream``), and DALI's, which cannot be told, writes to the
memory of images only after what has read them (:meth:`Streams.reuse_after_here`).
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
        """Run what gives the items on the zoom stream; with each goes the event after which it is there.

        For a thread of its own: its current stream stays that one between the items.
        """
        with torch.cuda.stream(self.zoom), closing(items):
            for item in items:
                yield item, self.zoom.record_event()
                del item

    def consume(self, items: Background[tuple[T, torch.cuda.Event]]) -> Generator[T]:
        """Give the items to whoever asks, on the stream that is current then."""
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
        """Let what is decoded from now on come after all that the current stream was told to do.

        To be called after images were read and before they are released: their memory is DALI's, which would write the
        next ones to it at once.
        """
        self.decode.wait_stream(torch.cuda.current_stream(self.zoom.device))


def streams_for(device: torch.device) -> Streams | None:
    """Return an epoch's streams, None where there are no such things."""
    return Streams(device) if device.type == "cuda" else None


def tensors_in(item: Any) -> Iterator[Tensor]:
    """Yield the tensors in a batch: of tuples, lists, dicts and dataclasses, whatever they are nested in."""
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, dict):
        yield from tensors_in(list(item.values()))
    elif isinstance(item, list | tuple):
        for each in item:
            yield from tensors_in(each)
    elif dataclasses.is_dataclass(item) and not isinstance(item, type):
        yield from tensors_in([getattr(item, field.name) for field in dataclasses.fields(item)])
