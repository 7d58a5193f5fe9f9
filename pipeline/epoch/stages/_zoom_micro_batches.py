"""A stage that zooms what the one before decoded."""

from collections.abc import Generator
from contextlib import closing

from foveal.pipeline.epoch._budget import Budget
from foveal.pipeline.epoch._micro_batch import DecodedBatch, ZoomedBatch
from foveal.pipeline.epoch._ranks import send_no_buffers
from foveal.pipeline.epoch._steps import Zooming
from foveal.pipeline.epoch.stages._stage import Stage
from foveal.pipeline.flow import Streams


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
