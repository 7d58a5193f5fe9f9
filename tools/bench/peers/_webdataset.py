"""webdataset's own pipeline in torch's DataLoader, the usual way to train from shards."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
import webdataset as wds
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from foveal.tools.bench.peers._peer import Peer

Decode = Callable[[bytes], UInt8[Tensor, "3 height width"]]


class WebDatasetPeer:
    """Batches of images that worker processes decode and resize.

    Args:
        urls: The shards, at least one for each worker.
        decode: From a file to the resized image; importable, as workers are spawned.
        batch_size: Images in a batch.
        workers: Processes.
    """

    def __init__(self, urls: list[str], decode: Decode, *, batch_size: int, workers: int) -> None:
        dataset = wds.WebDataset(urls, shardshuffle=False)
        decoded = dataset.map(partial(_decoded, decode)).batched(batch_size, collation_fn=torch.stack)
        self._batches = DataLoader(
            decoded,
            batch_size=None,
            num_workers=workers,
            persistent_workers=True,
            multiprocessing_context="spawn",  # a fork would inherit locks that DALI's threads hold
        )

    def __iter__(self) -> Iterator[Float[Tensor, "batch 3 height width"]]:
        """Iterate over one epoch."""
        for batch in self._batches:
            yield batch.float() / 255


def webdataset_peer(decode: Decode, *, batch_size: int, workers: int) -> Peer:
    """Return a loader with this pipeline, which decodes and resizes by a function."""
    return Peer(
        lambda file: decode(file).float() / 255,
        lambda urls: WebDatasetPeer(urls, decode, batch_size=batch_size, workers=workers),
    )


def _decoded(decode: Decode, sample: dict[str, bytes]) -> UInt8[Tensor, "3 height width"]:
    return decode(sample["jpg"])
