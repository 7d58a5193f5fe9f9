"""A plain DALI pipeline: its own reader of shards, its decoder, its resize, its iterator for PyTorch; on the CPU."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxtyping import Float
from nvidia.dali import fn, types
from nvidia.dali.pipeline import pipeline_def
from nvidia.dali.plugin.base_iterator import LastBatchPolicy
from nvidia.dali.plugin.pytorch import DALIGenericIterator
from torch import Tensor


class DaliPeer:
    """Batches of images that DALI reads, decodes and resizes.

    Args:
        urls: The shards, with indexes beside them.
        size: Height and width of the images, in pixels.
        batch_size: Images in a batch.
        workers: Threads.
    """

    def __init__(self, urls: list[str], *, size: int, batch_size: int, workers: int) -> None:
        self._urls, self._size, self._batch_size, self._workers = urls, size, batch_size, workers

    def __iter__(self) -> Iterator[Float[Tensor, "batch 3 height width"]]:
        """Iterate over one epoch, with a pipeline of its own: one that is kept would begin the next epoch at once."""
        pipeline = _pipeline(
            self._urls, self._size, batch_size=self._batch_size, num_threads=self._workers, device_id=None
        )
        batches: Any = DALIGenericIterator(
            pipeline, ["image"], reader_name="reader", last_batch_policy=LastBatchPolicy.PARTIAL
        )
        for [batch] in batches:
            yield batch["image"]


@pipeline_def
def _pipeline(urls: list[str], size: int) -> Any:
    indexes = [str(Path(url).with_suffix(".idx")) for url in urls]
    files: Any = fn.readers.webdataset(paths=urls, index_paths=indexes, ext=["jpg"], name="reader")
    images = fn.decoders.image(files, device="cpu")
    small: Any = fn.resize(images, resize_x=size, resize_y=size)
    return fn.crop_mirror_normalize(
        small, dtype=types.DALIDataType.FLOAT, output_layout="CHW", std=[255.0] * 3
    )
