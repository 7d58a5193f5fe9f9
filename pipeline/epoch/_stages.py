"""The stages of the loader: generators that read, decode and zoom, each fed by the one before.

A batch is processed in micro-batches: a few images are decoded, zoomed and freed before the next few. So memory holds a
handful of full-resolution images, however large the batch is. There are two ways from read to zoomed samples:
:func:`decode_micro_batches` followed by :func:`zoom_micro_batches`, or :func:`decode_and_zoom`, which does both in one
thread.
"""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from torch import Tensor

from foveal.pipeline.decoding import DecodeError, Decoder, Decoding
from foveal.pipeline.epoch._budget import Budget, share_of
from foveal.pipeline.epoch._join import Batch, Joiner
from foveal.pipeline.epoch._micro_batch import AHEAD, DecodedBatch, Limits, MicroBatch, ZoomedBatch
from foveal.pipeline.epoch._ranks import send_no_buffers
from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.epoch._steps import Looking, Zooming
from foveal.pipeline.fields import MemberError, first_misfit
from foveal.pipeline.flow import Background, LoaderStats, Streams, in_threads

T = TypeVar("T")
F = TypeVar("F")
Stage = Generator[T] | Background[T]  # the input of a stage, which the stage closes when it ends
InsteadOf = Callable[[EncodedSample, DecodeError | MemberError], EncodedSample | None]

# Micro-batches that each thread may begin while the first of them is unfinished: a progressive JPEG takes as long as
# several others. Finished ones take little memory.
_AHEAD_OF_EACH_THREAD = 6


def read_micro_batches(
    batches: Sequence[Sequence[int]],
    take: Callable[[int], EncodedSample | None],
    limits: Limits,
    stats: LoaderStats,
    *,
    at_once: int = 1,
) -> Generator[MicroBatch]:
    """Read the samples of each batch, a few at a time.

    Slots that stay empty count, too, so that a micro-batch consists of the same images whether a bad sample is found here
    or by the decoder. A network may round differently if it gets another number of images.

    Args:
        batches: The positions of each batch in the order of the epoch.
        take: Returns the sample of a position, or None for none.
        limits: How much a micro-batch may be.
        stats: Where time is counted.
        at_once: Number of samples to read at the same time, each in a thread, for slow storage.

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
                together = [sample.image for sample in part + found]
                if places == limits.images or not limits.hold(together):
                    if part:
                        yield MicroBatch(part, ends_batch=False)
                    part, places = [], 0
                part += found
                places += 1
            yield MicroBatch(part, ends_batch=True)


def decode_micro_batches(
    micro_batches: Stage[MicroBatch],
    decoder: Decoder,
    instead_of: InsteadOf,
    looking: Looking,
    stats: LoaderStats,
    *,
    budget: Budget,
) -> Generator[DecodedBatch]:
    """Decode each micro-batch while the previous one is being processed.

    Each takes its share of the budget before it is decoded; the code that frees the images returns it.

    Args:
        micro_batches: What was read.
        decoder: Decodes; entered and left here, in the thread that runs this.
        instead_of: Gives the sample to put in the place of one whose image is bad, or None to leave it out.
        looking: Makes the copies that the zoom looks at.
        stats: Where images that Pillow decoded and time are counted.
        budget: How much of images may be in memory.
    """

    def begin(read: MicroBatch, share: int) -> Decoding:
        del share
        with stats.timed("decode"):
            return decoder.start(read.images)

    def finish(flight: _InFlight[Decoding]) -> DecodedBatch:
        settled = _settle(flight.read.samples, flight.begun, decoder, instead_of, stats)
        return looking(*settled, ends_batch=flight.read.ends_batch, share=flight.share)

    # Micro-batches are as small for many threads as for two, so that threads change no bit, but there may be more of them.
    most = AHEAD if decoder.device.type == "cuda" else max(AHEAD, decoder.num_threads)

    yield from _ahead(
        micro_batches, decoder, begin, finish, Decoding.drain, lambda _: True, budget=budget, most=most
    )


def zoom_micro_batches(
    micro_batches: Stage[DecodedBatch],
    zooming: Zooming,
    *,
    budget: Budget,
    streams: Streams | None = None,
) -> Generator[ZoomedBatch]:
    """Zoom each micro-batch and its labels, and free everything at full resolution.

    Args:
        micro_batches: The decoded micro-batches.
        zooming: Zooms one micro-batch.
        budget: The budget to which the images' share is returned.
        streams: The streams of a CUDA device, so that later decoding does not overwrite images that are still being read.
    """
    begins_batch = True
    with closing(micro_batches):
        for decoded in micro_batches:
            if not begins_batch:
                send_no_buffers(zooming.zoom)
            begins_batch = decoded.ends_batch
            zoomed, share = zooming(decoded), decoded.share
            if streams is not None:
                streams.reuse_after_here()
            del decoded  # the full-resolution images and masks are freed here
            budget.give_back(share)
            yield zoomed
            del zoomed


def decode_and_zoom(  # noqa: PLR0917 - what a stage is made of, as for the others
    micro_batches: Stage[MicroBatch],
    decoder: Decoder,
    instead_of: InsteadOf,
    looking: Looking,
    zooming: Zooming,
    stats: LoaderStats,
    *,
    budget: Budget,
) -> Generator[ZoomedBatch]:
    """Decode and zoom each micro-batch in one of the decoder's threads, so that none is passed between threads.

    The thread that runs this finishes micro-batches that DALI decodes, and those with a bad image, so that bad samples
    are recorded in the order of the epoch.

    Args:
        micro_batches: What was read.
        decoder: Decodes; entered and left here, in the thread that runs this.
        instead_of: Gives the sample to put in the place of one whose image is bad, or None to leave it out.
        looking: Makes the copies that the zoom looks at; called in any thread.
        zooming: Zooms; called in any thread.
        stats: Where images that Pillow decoded and time are counted.
        budget: How much of images may be in memory.
    """

    def in_thread(read: MicroBatch) -> ZoomedBatch | None:
        with stats.timed("decode"):
            images = decoder.decode_here(read.images)
        if images is None or any(_fault(*pair) for pair in zip(read.samples, images, strict=True)):
            return None
        return zooming(looking(read.samples, images, ends_batch=read.ends_batch))

    def in_thread_with_share(read: MicroBatch, share: int) -> ZoomedBatch | None:
        try:
            return in_thread(read)
        finally:
            budget.give_back(share)  # the images are only freed here

    def begin(read: MicroBatch, share: int) -> _Begun:
        if read.samples and not any(image.by_dali for image in read.images):
            return decoder.submit(in_thread_with_share, read, share)
        with stats.timed("decode"):
            return decoder.start(read.images)

    def here(read: MicroBatch, begun: Decoding) -> ZoomedBatch:
        settled = _settle(read.samples, begun, decoder, instead_of, stats)
        return zooming(looking(*settled, ends_batch=read.ends_batch))

    def finish(flight: _InFlight[_Begun]) -> ZoomedBatch:
        read, begun = flight.read, flight.begun
        if isinstance(begun, Future):
            if (zoomed := begun.result()) is not None:
                stats.pillow += sum(image.by == "pillow" for image in read.images)
                return zoomed
            budget.take_now(flight.share)  # its room may have gone to micro-batches that wait for this thread
            begun = decoder.start(read.images)
        zoomed = here(read, begun)
        budget.give_back(flight.share)
        return zoomed

    most = _AHEAD_OF_EACH_THREAD * decoder.num_threads

    yield from _ahead(micro_batches, decoder, begin, finish, _drain, _waits, budget=budget, most=most)


def join_batches(zoomed: Stage[ZoomedBatch], joiner: Joiner, stats: LoaderStats) -> Generator[Batch]:
    """Join the micro-batches of each batch.

    Args:
        zoomed: The zoomed micro-batches, in the order of the epoch.
        joiner: Joins their fields.
        stats: Where images and pixels are counted.
    """
    with closing(zoomed):
        for part in zoomed:
            joiner.add(part)
            ends_batch = part.ends_batch
            del part
            if ends_batch:
                yield joiner.take(stats)


@dataclass(frozen=True, slots=True)
class _InFlight(Generic[F]):
    """A micro-batch whose work has begun."""

    read: MicroBatch
    share: int
    begun: F


_Begun = Decoding | Future[ZoomedBatch | None]


def _ahead(  # noqa: PLR0917 - what is done to each, in this order
    micro_batches: Stage[MicroBatch],
    decoder: Decoder,
    begin: Callable[[MicroBatch, int], F],
    finish: Callable[[_InFlight[F]], T],
    drain: Callable[[F], object],
    waits: Callable[[F], bool],
    *,
    budget: Budget,
    most: int,
) -> Generator[T]:
    """Begin micro-batches while the first of them is unfinished, as far as the budget allows; finish them in their order.

    ``waits`` returns whether the share of a micro-batch is only returned after it is finished here.
    """
    ahead: deque[_InFlight[F]] = deque()
    with decoder, closing(micro_batches):
        fault: list[Exception] = []
        try:
            for read in _until_fault(micro_batches, fault):
                share = share_of(read.images)
                while any(waits(each.begun) for each in ahead) and not budget.has_room(share):
                    yield finish(ahead.popleft())
                budget.take(share)
                ahead.append(_InFlight(read, share, begin(read, share)))
                if len(ahead) > most:
                    yield finish(ahead.popleft())
            while ahead:
                yield finish(ahead.popleft())
            if fault:
                raise fault[0]
        finally:
            for left in ahead:
                drain(left.begun)


def _waits(begun: _Begun) -> bool:
    return isinstance(begun, Decoding)


def _drain(begun: _Begun) -> None:
    """Wait, and discard the result."""
    if isinstance(begun, Decoding):
        begun.drain()
    elif not begun.cancel():
        begun.exception()


def _until_fault(items: Iterable[T], fault: list[Exception]) -> Generator[T]:
    """Yield the items before an exception, and store the exception, so that everything that was read before it is delivered first."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001 - raised by the caller, in its place
        fault.append(error)


def _settle(
    samples: list[EncodedSample],
    decoding: Decoding,
    decoder: Decoder,
    instead_of: InsteadOf,
    stats: LoaderStats,
) -> tuple[list[EncodedSample], list[Tensor]]:
    """Wait for the pixels. Images that cannot be decoded are replaced or left out."""
    with stats.timed("decode"):
        good = _settled(samples, decoding, decoder, instead_of, stats)
    return [sample for sample, _ in good], [image for _, image in good]


def _settled(
    samples: list[EncodedSample],
    decoding: Decoding,
    decoder: Decoder,
    instead_of: InsteadOf,
    stats: LoaderStats,
) -> list[tuple[EncodedSample, Tensor]]:
    good: list[tuple[EncodedSample, Tensor]] = []
    for sample, image in zip(samples, decoding.result(), strict=True):
        if (fault := _fault(sample, image)) is None:
            good.append((sample, cast("Tensor", image)))
        elif (spare := instead_of(sample, fault)) is not None:
            good += _settled([spare], decoder.start([spare.image]), decoder, instead_of, stats)
    stats.pillow += decoding.by_pillow
    return good


def _fault(sample: EncodedSample, image: Tensor | DecodeError) -> DecodeError | MemberError | None:
    if isinstance(image, DecodeError):
        return image
    return first_misfit(sample.located, sample.image.original_size(image))
