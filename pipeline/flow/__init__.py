"""Threads, streams, devices and buffers of the loader's stages."""

from foveal.pipeline.flow._background import Background, refuse_fork_of
from foveal.pipeline.flow._buffers import IMAGE_BYTES, Buffers, shared_buffers
from foveal.pipeline.flow._device import (
    choose_device,
    existing_device,
    home_of,
    memory_of,
    named_device,
    to_device,
)
from foveal.pipeline.flow._in_threads import in_threads
from foveal.pipeline.flow._stats import LoaderStats
from foveal.pipeline.flow._streams import Streams, streams_for

__all__ = [
    "IMAGE_BYTES",
    "Background",
    "Buffers",
    "LoaderStats",
    "Streams",
    "choose_device",
    "existing_device",
    "home_of",
    "in_threads",
    "memory_of",
    "named_device",
    "refuse_fork_of",
    "shared_buffers",
    "streams_for",
    "to_device",
]
