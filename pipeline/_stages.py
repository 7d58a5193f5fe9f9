"""The stages of the loader: generators that read, decode and zoom, each fed by the one before.

A batch travels in micro-batches: a few images are decoded, looked at, zoomed and released before
the next few, so that memory holds a handful of full-resolution images however large the batch is.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from foveal.pipeline._background import Background
from foveal.pipeline._decode import DecodeError, Decoder, Decoding
from foveal.pipeline._fields import Fields, MemberError, collate
from foveal.pipeline._stats import LoaderStats
from foveal.sampler import Zoomed, lowres
from foveal.shards import Sample, ShardError

T = TypeVar("T")
Batch = tuple[Any, ...]
Stage = Generator[T] | Background[T]  # what a stage is fed by, and closes when it ends


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample on its way to the decoder."""

    key: str
    url: str
    image: bytes
    labels: dict[str, Any]
    valid: bool


@dataclass(frozen=True, slots=True)
class Decoded:
    """A micro-batch at full resolution: what a zoom is given to see."""

    samples: list[Encoded]
    images: list[Tensor]
    lowres: Tensor | None


def read_micro_batches(
    batches: Iterable[Sequence[tuple[int, bool]]],
    read: Callable[[int], Sample],
    fields: Fields,
    size: int,
    stats: LoaderStats,
) -> Generator[tuple[list[Encoded], bool]]:
    """Read the samples of each batch, at most ``size`` at a time.

    Args:
        batches: The sample numbers of each batch, and whether each counts or only fills the batch.
        read: Reads a sample.
        fields: What of each sample is wanted.
        size: Samples of a micro-batch.
        stats: Where bytes and time are counted.

    Yields:
        A micro-batch (empty only for an empty batch), and whether it is the last of its batch.

    Raises:
        ShardError: A sample that lacks a member, or holds one that is not what its name says.
    """
    for batch in batches:
        for start in range(0, max(1, len(batch)), size):
            with stats.timed("read"):
                part = batch[start : start + size]
                samples = [_encoded(read(ordinal), valid, fields, stats) for ordinal, valid in part]
            yield samples, start + size >= len(batch)


def decode_micro_batches(
    micro_batches: Stage[tuple[list[Encoded], bool]],
    decoder: Decoder,
    lowres_size: tuple[int, int] | None,
    stats: LoaderStats,
) -> Generator[tuple[Decoded, bool]]:
    """Decode each micro-batch while the one before it is looked at and handed on.

    Raises:
        ShardError: An image that cannot be decoded.
    """
    ahead: deque[_InFlight] = deque()
    with decoder, closing(micro_batches):
        try:
            for samples, ends_batch in micro_batches:
                with stats.timed("decode"):
                    decoding = decoder.start([sample.image for sample in samples]) if samples else None
                ahead.append(_InFlight(samples, ends_batch, decoding))
                if len(ahead) > 1:
                    yield ahead.popleft().look(lowres_size, decoder.device, stats)
            while ahead:
                yield ahead.popleft().look(lowres_size, decoder.device, stats)
        finally:
            for left in ahead:
                left.drain()


def zoom_batches(
    micro_batches: Stage[tuple[Decoded, bool]],
    zoom: Callable[..., Zoomed],
    fields: Fields,
    stats: LoaderStats,
    *,
    train: bool,
) -> Generator[Batch]:
    """Zoom each micro-batch, release its full-resolution images, and join a batch's fields.

    Args:
        micro_batches: What was decoded.
        zoom: The sampler.
        fields: What a batch consists of.
        stats: Where images, pixels and time are counted.
        train: Whether the batch shall carry the graph that leads to the zoom's parameters.
    """
    samples: list[Encoded] = []
    sizes: list[tuple[int, int]] = []
    parts: list[Zoomed] = []
    with closing(micro_batches):
        for decoded, ends_batch in micro_batches:
            with stats.timed("zoom"), nullcontext() if train else torch.no_grad():
                parts.append(zoom(decoded.images, decoded.lowres))
            samples += decoded.samples
            sizes += [(image.shape[0], image.shape[1]) for image in decoded.images]
            del decoded  # the full-resolution images end here
            if ends_batch:
                stats.images += len(samples)
                stats.pixels += sum(height * width for height, width in sizes)
                yield _join(samples, sizes, parts, fields)
                samples, sizes, parts = [], [], []


def _encoded(sample: Sample, valid: bool, fields: Fields, stats: LoaderStats) -> Encoded:
    stats.bytes += sum(map(len, sample.members.values()))
    try:
        image, labels = fields.encoded_image(sample.members), fields.labels(sample.members)
    except MemberError as error:
        raise ShardError(sample.url, sample.key, str(error)) from error
    return Encoded(sample.key, sample.url, image, labels, valid)


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A micro-batch that is being decoded; an empty one has nothing to decode."""

    samples: list[Encoded]
    ends_batch: bool
    decoding: Decoding | None

    def look(
        self, lowres_size: tuple[int, int] | None, device: torch.device, stats: LoaderStats
    ) -> tuple[Decoded, bool]:
        """Wait for the pixels and make the low-resolution copy."""
        with stats.timed("decode"):
            images = self._pixels()
        small = None
        if lowres_size is not None:
            with stats.timed("lowres"):
                small = (
                    lowres(images, lowres_size) if images else torch.empty(0, 3, *lowres_size, device=device)
                )
        return Decoded(self.samples, images, small), self.ends_batch

    def drain(self) -> None:
        """Wait for what is in flight, for nobody."""
        if self.decoding is not None:
            self.decoding.drain()

    def _pixels(self) -> list[Tensor]:
        if self.decoding is None:
            return []
        try:
            return self.decoding.result()
        except DecodeError as error:
            bad = self.samples[error.index]
            raise ShardError(bad.url, bad.key, f"its image cannot be decoded: {error.reason}") from error


def _join(samples: list[Encoded], sizes: list[tuple[int, int]], parts: list[Zoomed], fields: Fields) -> Batch:
    images = torch.cat([part.images for part in parts])
    own: dict[str, Callable[[], Any]] = {
        "__key__": lambda: [sample.key for sample in samples],
        "__url__": lambda: [sample.url for sample in samples],
        "__size__": lambda: torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2),
        "__valid__": lambda: torch.tensor([sample.valid for sample in samples], dtype=torch.bool),
        "__grid__": lambda: torch.cat([part.grid for part in parts]),
        "__saliency__": lambda: torch.cat([part.saliency for part in parts]),
    }

    def field(name: str) -> Any:
        if fields.is_image(name):
            return images
        value = own[name]() if name in own else collate(name, [sample.labels[name] for sample in samples])
        return value.to(images.device) if isinstance(value, Tensor) else value

    return tuple(field(name) for name in fields.names)
