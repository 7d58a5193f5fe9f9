"""The stages of the loader: generators that read, decode and zoom, each fed by the one before.

A batch is processed in micro-batches: a few images are decoded, zoomed and freed before the next few. So memory holds a
handful of full-resolution images, however large the batch is. There are two ways from read to zoomed samples:
:func:`decode_micro_batches` followed by :func:`zoom_micro_batches`, or :func:`decode_and_zoom`, which does both in one
thread.
"""

from foveal.pipeline.epoch.stages._decode_and_zoom import decode_and_zoom
from foveal.pipeline.epoch.stages._decode_micro_batches import decode_micro_batches
from foveal.pipeline.epoch.stages._join_batches import join_batches
from foveal.pipeline.epoch.stages._read_micro_batches import read_micro_batches
from foveal.pipeline.epoch.stages._stage import Stage
from foveal.pipeline.epoch.stages._zoom_micro_batches import zoom_micro_batches

__all__ = [
    "Stage",
    "decode_and_zoom",
    "decode_micro_batches",
    "join_batches",
    "read_micro_batches",
    "zoom_micro_batches",
]
