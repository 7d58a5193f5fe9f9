"""A plain DALI pipeline: decoder, resize and DALI's iterator for PyTorch, on the CPU.

It gets its files batch by batch from outside, because DALI's own reader continues into the next epoch: the images that it
decodes ahead would count as time of this epoch, which matters if an epoch has few batches.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from nvidia.dali import fn, types
from nvidia.dali.pipeline import pipeline_def
from nvidia.dali.plugin.base_iterator import LastBatchPolicy
from nvidia.dali.plugin.pytorch import DALIGenericIterator
from torch import Tensor

from foveal.shards import Shards
from foveal.tools.bench.peers._peer import Peer
from foveal.tools.pictures.originals import encoded_image

Files = list[NDArray[np.uint8]]


def dali_peer(*, size: int, batch_size: int, workers: int) -> Peer:
    """Return the loader."""

    def read(file: bytes) -> Float[Tensor, "3 height width"]:
        files = iter([[np.frombuffer(file, np.uint8)]])
        pipeline = _pipeline(files, size, batch_size=1, num_threads=1, device_id=None)
        image: Tensor = next(_batches(pipeline))[0]
        return image

    return Peer(read, lambda urls: DaliPeer(urls, size=size, batch_size=batch_size, workers=workers))


class DaliPeer:
    """Batches of images that DALI decodes and resizes.

    Args:
        urls: The shards.
        size: Height and width of the images, in pixels.
        batch_size: Images in a batch.
        workers: Threads.
    """

    def __init__(self, urls: list[str], *, size: int, batch_size: int, workers: int) -> None:
        self._shards, self._size, self._batch_size, self._workers = Shards(urls), size, batch_size, workers

    def __iter__(self) -> Iterator[Float[Tensor, "batch 3 height width"]]:
        """Iterate over one epoch."""
        pipeline = _pipeline(
            self._files(),
            self._size,
            batch_size=self._batch_size,
            num_threads=self._workers,
            device_id=None,
        )
        yield from _batches(pipeline)

    def _files(self) -> Iterator[Files]:
        for first in range(0, len(self._shards), self._batch_size):
            batch = range(first, min(first + self._batch_size, len(self._shards)))
            yield [np.frombuffer(encoded_image(self._shards[ordinal]), np.uint8) for ordinal in batch]


def _batches(pipeline: Any) -> Iterator[Float[Tensor, "batch 3 height width"]]:
    batches: Any = DALIGenericIterator(
        pipeline, ["image"], size=-1, last_batch_policy=LastBatchPolicy.PARTIAL
    )
    for [batch] in batches:
        yield batch["image"]


@pipeline_def
def _pipeline(files: Iterator[Files], size: int) -> Any:
    encoded: Any = fn.external_source(source=files, dtype=types.DALIDataType.UINT8, ndim=1)
    images = fn.decoders.image(encoded, device="cpu")
    small: Any = fn.resize(images, resize_x=size, resize_y=size)
    return fn.crop_mirror_normalize(
        small, dtype=types.DALIDataType.FLOAT, output_layout="CHW", std=[255.0] * 3
    )
