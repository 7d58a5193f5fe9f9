"""SPDL: threads that decode with ffmpeg, which scales in the same pass. It does not apply the EXIF orientation."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import spdl.io
from jaxtyping import Float
from spdl.pipeline import PipelineBuilder
from torch import Tensor

from foveal.tools.bench.peers._peer import Peer

logging.getLogger("spdl").setLevel(logging.CRITICAL)  # if it cannot run here, its row says why


def spdl_peer(*, size: int, batch_size: int, workers: int) -> Peer:
    """Return the loader."""
    loader = partial(SpdlPeer, size=size, batch_size=batch_size, workers=workers)
    return Peer(loader([]).read, loader)


class SpdlPeer:
    """Batches of images that SPDL reads, decodes and resizes.

    Args:
        urls: The shards.
        size: Height and width of the images, in pixels.
        batch_size: Images in a batch.
        workers: Threads.
    """

    def __init__(self, urls: list[str], *, size: int, batch_size: int, workers: int) -> None:
        self._urls, self._batch_size, self._workers = urls, batch_size, workers
        self._scale = spdl.io.get_video_filter_desc(
            scale_width=size, scale_height=size, scale_mode=None, pix_fmt="rgb24"
        )

    def __iter__(self) -> Iterator[Float[Tensor, "batch 3 height width"]]:
        """Iterate over one epoch."""
        builder: PipelineBuilder[Any, Any] = PipelineBuilder()
        pipeline = (
            builder.add_source(_files(self._urls))
            .pipe(self._decode, concurrency=self._workers, max_failures=0)
            .aggregate(self._batch_size)
            .pipe(_join)
            .add_sink(2)
            .build(num_threads=self._workers)
        )
        with pipeline.auto_stop():
            yield from pipeline

    def read(self, file: bytes) -> Float[Tensor, "3 height width"]:
        """Return one image."""
        return _join([self._decode(file)])[0]

    def _decode(self, file: bytes) -> Any:
        return spdl.io.decode_packets(spdl.io.demux_image(file), filter_desc=self._scale)


def _files(urls: list[str]) -> Iterator[bytes]:
    for url in urls:
        with Path(url).open("rb") as tar:
            for _, content in spdl.io.iter_tarfile(tar):
                yield content


def _join(frames: list[Any]) -> Float[Tensor, "batch 3 height width"]:
    batch: Tensor = spdl.io.to_torch(spdl.io.convert_frames(frames))
    return batch.permute(0, 3, 1, 2).float() / 255
