"""nvImageCodec alone, which is DALI's decoder: its threads decode a batch ahead, and torch resizes in other threads."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from nvidia.nvimgcodec import (
    NVIMGCODEC_DEVICE_CPU_ONLY,
    Backend,
    BackendKind,
    CodeStream,
    DecodeParams,
    Decoder,
    SampleFormat,
)
from torch import Tensor
from torch.nn.functional import interpolate

from foveal.shards import Shards
from foveal.tools.bench.ceilings import encoded_batches, one_ahead
from foveal.tools.bench.peers._peer import Peer


def nvimagecodec_peer(*, size: int, batch_size: int, workers: int) -> Peer:
    """Return the loader."""
    loader = _NvImageCodec(size, batch_size, workers)
    return Peer(lambda file: loader.resized(loader.decode([file])[0]).float() / 255, loader.batches)


class _NvImageCodec:
    def __init__(self, size: int, batch_size: int, workers: int) -> None:
        self._size, self._batch_size, self._workers = (size, size), batch_size, workers
        # It accepts at most one thread fewer than there are processors; the calling thread is one more.
        self._decoder = Decoder(
            device_id=NVIMGCODEC_DEVICE_CPU_ONLY,
            max_num_cpu_threads=max(1, workers - 1),
            backends=[Backend(BackendKind.CPU_ONLY)],
        )
        self._params = DecodeParams(apply_exif_orientation=True, sample_format=SampleFormat.I_RGB)

    def decode(self, files: list[bytes]) -> list[Any]:
        return list(self._decoder.decode([CodeStream(f) for f in files], params=self._params))

    def resized(self, image: Any) -> UInt8[Tensor, "3 size size"]:
        if image is None:
            raise ValueError("nvImageCodec does not decode it.")
        dense = torch.from_numpy(np.asarray(image)).permute(2, 0, 1)[None]
        small: Tensor = interpolate(dense, self._size, mode="bilinear", antialias=True)
        return small[0].contiguous()

    def batches(self, urls: list[str]) -> Iterable[Float[Tensor, "batch 3 size size"]]:
        return _Epochs(self, urls, self._batch_size, self._workers)


class _Epochs:
    def __init__(self, loader: _NvImageCodec, urls: list[str], batch_size: int, workers: int) -> None:
        self._loader, self._shards = loader, Shards(urls)
        self._batch_size, self._workers = batch_size, workers

    def __iter__(self) -> Iterator[Float[Tensor, "batch 3 size size"]]:
        with ThreadPoolExecutor(self._workers) as resizing, ThreadPoolExecutor(1) as decoding:
            encoded = encoded_batches(self._shards, self._batch_size)
            for begun in one_ahead(decoding.submit(self._loader.decode, files) for files in encoded):
                yield self._joined(resizing, begun.result())

    def _joined(self, resizing: ThreadPoolExecutor, images: list[Any]) -> Float[Tensor, "batch 3 size size"]:
        return torch.stack(list(resizing.map(self._loader.resized, images))).float() / 255
