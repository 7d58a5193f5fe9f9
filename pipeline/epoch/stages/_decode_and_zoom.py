"""A stage that decodes and zooms each micro-batch in one thread, several at a time."""

from collections.abc import Generator
from concurrent.futures import Future

from foveal.pipeline.decoding import Decoder, Decoding
from foveal.pipeline.epoch._budget import Budget
from foveal.pipeline.epoch._micro_batch import MicroBatch, ZoomedBatch
from foveal.pipeline.epoch._steps import Looking, Zooming
from foveal.pipeline.epoch.stages._settle import InsteadOf, fault_of, settle
from foveal.pipeline.epoch.stages._stage import Stage
from foveal.pipeline.epoch.stages._work_ahead import InFlight, work_ahead
from foveal.pipeline.flow import LoaderStats

# Micro-batches that each thread may begin while the first of them is unfinished: a progressive JPEG takes as long as
# several others. Finished ones take little memory.
_AHEAD_OF_EACH_THREAD = 6

_Begun = Decoding | Future[ZoomedBatch | None]


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
        if images is None or any(fault_of(*pair) for pair in zip(read.samples, images, strict=True)):
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
        settled = settle(read.samples, begun, decoder, instead_of, stats)
        return zooming(looking(*settled, ends_batch=read.ends_batch))

    def finish(flight: InFlight[_Begun]) -> ZoomedBatch:
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

    yield from work_ahead(micro_batches, decoder, begin, finish, _drain, _waits, budget=budget, most=most)


def _waits(begun: _Begun) -> bool:
    return isinstance(begun, Decoding)


def _drain(begun: _Begun) -> None:
    """Wait, and discard the result."""
    if isinstance(begun, Decoding):
        begun.drain()
    elif not begun.cancel():
        begun.exception()
