"""The stages of the loader: generators that read, decode and zoom, each fed by the one before.

A batch travels in micro-batches: a few images are decoded, looked at, zoomed and released before
the next few, so that memory holds a handful of full-resolution images however large the batch is.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from foveal.pipeline.decode import DecodeError, Decoder, Decoding
from foveal.pipeline.epoch._budget import Budget, share_of
from foveal.pipeline.epoch._join import Batch, Joiner
from foveal.pipeline.epoch._lost_saliency import check_saliency
from foveal.pipeline.epoch._micro_batch import AHEAD, DecodedBatch, MicroBatch
from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.epoch._zoom_copies import Copies
from foveal.pipeline.fields import Fields, MemberError, collate, first_misfit, warp_labels
from foveal.pipeline.flow import Background, LoaderStats, Streams, in_threads, to_device
from foveal.sampler import ZoomNeeds

T = TypeVar("T")
Stage = Generator[T] | Background[T]  # what a stage is fed by, and closes when it ends


def read_micro_batches(
    batches: Sequence[Sequence[int]],
    take: Callable[[int], EncodedSample | None],
    size: int,
    stats: LoaderStats,
    *,
    most_pixels: float = math.inf,
    at_once: int = 1,
) -> Generator[MicroBatch]:
    """Read the samples of each batch, at most ``size`` at a time.

    Places that stay empty count, too: then a micro-batch consists of the same images whether a bad sample is found here or
    by the decoder. A network may round otherwise if it sees another number of images.

    Args:
        batches: The positions of each batch in the order of the epoch.
        take: Gives what belongs at a position, or None for nothing.
        size: Samples of a micro-batch.
        stats: Where time is counted.
        most_pixels: Pixels of a micro-batch of more than one image, by their headers.
        at_once: How many to read side by side, each in a thread, for storage that makes one wait.

    Yields:
        At least one micro-batch of each batch.
    """
    taken = in_threads(take, itertools.chain.from_iterable(batches), at_once)
    with closing(taken):
        for batch in batches:
            part: list[EncodedSample] = []
            places = 0
            for _ in batch:
                with stats.timed("read"):
                    found = [sample for sample in [next(taken)] if sample is not None]
                if places == size or (part and _pixels(part + found) > most_pixels):
                    if part:
                        yield MicroBatch(part, ends_batch=False)
                    part, places = [], 0
                part += found
                places += 1
            yield MicroBatch(part, ends_batch=True)


def _pixels(samples: list[EncodedSample]) -> int:
    return sum(sample.image.decoded_pixels for sample in samples)


def decode_micro_batches(
    micro_batches: Stage[MicroBatch],
    decoder: Decoder,
    instead_of: Callable[[EncodedSample, DecodeError | MemberError], EncodedSample | None],
    needs: ZoomNeeds,
    stats: LoaderStats,
    *,
    budget: Budget,
    view: Callable[[int, tuple[int, int]], Tensor] | None = None,
) -> Generator[DecodedBatch]:
    """Decode each micro-batch while the one before it is looked at and handed on.

    Each takes its share of the budget before it is decoded; who releases the images gives it back.

    Args:
        micro_batches: What was read.
        decoder: Decodes; entered and left here, in the thread that runs this.
        instead_of: Gives the sample to put in the place of one whose image is bad, or None to leave it out.
        needs: What the zoom asks for.
        stats: Where images that Pillow decoded and time are counted.
        budget: How much of images may be in memory.
        view: Gives the view of a sample, by its number and its size, that the zoom is to be given; None for none.
    """
    ahead: deque[_InFlight] = deque()
    with decoder, closing(micro_batches):

        def finish(flight: _InFlight) -> DecodedBatch:
            with stats.timed("decode"):
                samples, images = _settle(flight.read.samples, flight.decoding, decoder, instead_of, stats)
            with stats.timed("lowres"):
                sizes = [
                    sample.image.original_size(image) for sample, image in zip(samples, images, strict=True)
                ]
                views = _views(samples, sizes, view, decoder.device)
                encoded = [sample.image for sample in samples]
                copies = Copies(encoded, images, views, takes_views=needs.takes_views)
                small = _look(copies, needs.lowres_size, decoder.device)
            return DecodedBatch(samples, flight.read.ends_batch, copies, sizes, views, small, flight.share)

        fault: list[Exception] = []
        try:
            for read in _until_fault(micro_batches, fault):
                encoded = [sample.image for sample in read.samples]
                share = share_of(encoded)
                while ahead and not budget.has_room(share):
                    yield finish(ahead.popleft())
                budget.take(share)
                with stats.timed("decode"):
                    ahead.append(_InFlight(read, decoder.start(encoded), share))
                if len(ahead) > AHEAD:
                    yield finish(ahead.popleft())
            while ahead:
                yield finish(ahead.popleft())
            if fault:
                raise fault[0]
        finally:
            for left in ahead:
                left.decoding.drain()


def zoom_batches(
    micro_batches: Stage[DecodedBatch],
    zoom: nn.Module,
    fields: Fields,
    joiner: Joiner,
    stats: LoaderStats,
    *,
    budget: Budget,
    streams: Streams | None = None,
    train: bool,
) -> Generator[Batch]:
    """Zoom each micro-batch and its labels, release what has full resolution, and join a batch's fields.

    Args:
        micro_batches: What was decoded.
        zoom: The sampler.
        fields: What a batch consists of.
        joiner: Joins them.
        stats: Where images, pixels and time are counted.
        budget: What the images' share goes back to.
        streams: Of a CUDA device: what is decoded from then on must not be written where these images are read.
        train: Whether the batch shall carry the graph that leads to the zoom's parameters.
    """
    with closing(micro_batches):
        for decoded in micro_batches:
            with stats.timed("zoom"), nullcontext() if train else torch.no_grad():
                zoomed = decoded.copies.zoom(
                    zoom,
                    decoded.lowres,
                    boxes=_boxes(decoded, fields),
                    maps=_maps(decoded, fields),
                    condition=_condition(decoded, fields),
                )
                check_saliency(zoomed, zoom, [sample.key for sample in decoded.samples])
                located = [sample.located for sample in decoded.samples]
                labels = warp_labels(fields.spatial, located, zoomed.grid, decoded.sizes, views=decoded.views)
                joiner.add(decoded, zoomed, labels)
            share, ends_batch = decoded.share, decoded.ends_batch
            if streams is not None:
                streams.reuse_after_here()
            del decoded, located, zoomed, labels  # the full-resolution images and masks end here
            budget.give_back(share)
            if ends_batch:
                yield joiner.take(stats)


def _until_fault(items: Iterable[T], fault: list[Exception]) -> Generator[T]:
    """Yield what comes before a fault, and note the fault: what was read before it is delivered before it."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001 - raised by the caller, in its place
        fault.append(error)


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A micro-batch that is being decoded."""

    read: MicroBatch
    decoding: Decoding
    share: int


def _settle(
    samples: list[EncodedSample],
    decoding: Decoding,
    decoder: Decoder,
    instead_of: Callable[[EncodedSample, DecodeError | MemberError], EncodedSample | None],
    stats: LoaderStats,
) -> tuple[list[EncodedSample], list[Tensor]]:
    """Wait for the pixels; what cannot be decoded makes room for what can, or for nothing."""
    good: list[tuple[EncodedSample, Tensor]] = []
    for sample, image in zip(samples, decoding.result(), strict=True):
        if (fault := _fault(sample, image)) is None:
            good.append((sample, cast("Tensor", image)))
        elif (spare := instead_of(sample, fault)) is not None:
            good += zip(
                *_settle([spare], decoder.start([spare.image]), decoder, instead_of, stats), strict=True
            )
    stats.pillow += decoding.by_pillow
    return [sample for sample, _ in good], [image for _, image in good]


def _views(
    samples: list[EncodedSample],
    sizes: list[tuple[int, int]],
    view: Callable[[int, tuple[int, int]], Tensor] | None,
    device: torch.device,
) -> Tensor | None:
    if view is None:
        return None
    views = [view(sample.ordinal, size) for sample, size in zip(samples, sizes, strict=True)]
    return to_device(torch.stack(views), device) if views else torch.empty(0, 2, 3, device=device)


def _fault(sample: EncodedSample, image: Tensor | DecodeError) -> DecodeError | MemberError | None:
    if isinstance(image, DecodeError):
        return image
    return first_misfit(sample.located, sample.image.original_size(image))


def _boxes(decoded: DecodedBatch, fields: Fields) -> list[Tensor] | None:
    """Return the boxes that a zoom is told, as fractions of the originals; None where it asks for none."""
    if fields.guide is None:
        return None
    boxes = [sample.located[fields.guide] for sample in decoded.samples]
    fractions = [fields.guide.in_fractions(*pair) for pair in zip(boxes, decoded.sizes, strict=True)]
    # A box far outside stays outside: one that makes no sense is no reason to stop an epoch.
    return [each.clamp(-1, 2) for each in fractions]


def _maps(decoded: DecodedBatch, fields: Fields) -> list[Tensor] | None:
    """Return the maps that a zoom is told, whose cells tile the originals; None where it asks for none."""
    guide = fields.map_guide
    if guide is None:
        return None
    labels = [sample.located[guide] for sample in decoded.samples]
    return [guide.as_map(*pair) for pair in zip(labels, decoded.sizes, strict=True)]


def _condition(decoded: DecodedBatch, fields: Fields) -> tuple[Any, ...] | None:
    """Return the fields that a zoom is told beside the images, as a batch would have them; None where it asks for none."""
    if not fields.condition:
        return None
    values = (collate(name, [sample.labels[name] for sample in decoded.samples]) for name in fields.condition)
    device = decoded.copies.device
    return tuple(to_device(value, device) if isinstance(value, Tensor) else value for value in values)


def _look(copies: Copies, size: tuple[int, int] | None, device: torch.device) -> Tensor | None:
    if size is None or copies.images:
        return copies.look(size)
    return torch.empty(0, 3, *size, device=device)
