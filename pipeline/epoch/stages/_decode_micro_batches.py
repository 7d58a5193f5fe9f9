"""A stage that decodes, while the next one zooms in another thread."""

from collections.abc import Generator

from foveal.pipeline.decoding import Decoder, Decoding
from foveal.pipeline.epoch._budget import Budget
from foveal.pipeline.epoch._micro_batch import AHEAD, DecodedBatch, MicroBatch
from foveal.pipeline.epoch._steps import Looking
from foveal.pipeline.epoch.stages._settle import InsteadOf, settle
from foveal.pipeline.epoch.stages._stage import Stage
from foveal.pipeline.epoch.stages._work_ahead import InFlight, work_ahead
from foveal.pipeline.flow import LoaderStats


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

    def finish(flight: InFlight[Decoding]) -> DecodedBatch:
        settled = settle(flight.read.samples, flight.begun, decoder, instead_of, stats)
        return looking(*settled, ends_batch=flight.read.ends_batch, share=flight.share)

    # Micro-batches are as small for many threads as for two, so that threads change no bit, but there may be more of them.
    most = AHEAD if decoder.device.type == "cuda" else max(AHEAD, decoder.num_threads)

    yield from work_ahead(
        micro_batches, decoder, begin, finish, Decoding.drain, lambda _: True, budget=budget, most=most
    )
