"""Upper limits of a loader's speed: reading samples, and decoding every image at full resolution with DALI."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from foveal.pipeline import Decoder, peek
from foveal.shards import Shards
from foveal.tools.pictures.originals import encoded_image

READ, DECODE = "reading only", "DALI decode only"
T = TypeVar("T")


def encoded_batches(
    shards: Shards, batch_size: int, ordinals: Sequence[int] | None = None
) -> Iterator[list[bytes]]:
    """Read every sample, or only some, a batch at a time."""
    chosen = range(len(shards)) if ordinals is None else ordinals
    for first in range(0, len(chosen), batch_size):
        yield [encoded_image(shards[ordinal]) for ordinal in chosen[first : first + batch_size]]


def decoded_batches(
    shards: Shards, batch_size: int, device: str = "cpu", ordinals: Sequence[int] | None = None
) -> Iterator[list[UInt8[Tensor, "_height _width 3"]]]:
    """Decode every image, or only those of some samples; one batch is always decoded ahead. All must be good."""
    encoded = encoded_batches(shards, batch_size, ordinals)
    with Decoder(device) as decoder:
        for begun in one_ahead(decoder.start([peek(file) for file in files]) for files in encoded):
            yield begun.pixels()


def one_ahead(begun: Iterable[T]) -> Iterator[T]:
    """Yield each piece of work that was begun when the next one has been begun, too."""
    before: list[T] = []
    for work in begun:
        yield from before
        before = [work]
    yield from before


def count_pixels(shards: Shards) -> int:
    """Return the number of pixels of all images, from their headers. All must be good."""
    headers = (peek(file) for [file] in encoded_batches(shards, 1))
    return sum(header.height * header.width for header in headers)


def exhaust(batches: Iterable[object]) -> None:
    """Iterate over all batches, and keep none."""
    collections.deque(batches, maxlen=0)


def exhaust_on(device: str, batches: Callable[[], Iterable[object]]) -> None:
    """Iterate over all batches that a function returns, keep none, and wait for their device."""
    exhaust(batches())
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
