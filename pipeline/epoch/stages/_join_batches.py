"""The last stage: micro-batches are joined to batches."""

from collections.abc import Generator
from contextlib import closing

from foveal.pipeline.epoch._join import Batch, Joiner
from foveal.pipeline.epoch._micro_batch import ZoomedBatch
from foveal.pipeline.epoch.stages._stage import Stage
from foveal.pipeline.flow import LoaderStats


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
