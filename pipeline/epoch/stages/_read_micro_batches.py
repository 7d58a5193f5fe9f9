"""The first stage: samples are read, a few at a time."""

import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from foveal.pipeline.epoch._micro_batch import Limits, MicroBatch
from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.flow import LoaderStats, in_threads


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
