"""Loaders in worker processes of a ``DataLoader``."""

import re

import pytest
from torch.utils.data import DataLoader, IterableDataset

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler


class Around(IterableDataset):
    """A dataset around a loader, as users write it to put a loader into a ``DataLoader``."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return iter(self.loader)


def make(urls):
    return ZoomLoader(urls, UniformSampler(8), batch_size=4, fields=("image", "__index__"))


def ordinals(batches):
    return [k for batch in batches for k in batch[1].tolist()]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_deliver_all(small_shards, workers):
    """Several workers together deliver all batches of the loader, in turns."""
    assert ordinals(DataLoader(Around(make(small_shards)), batch_size=None, num_workers=workers)) == list(
        range(13)
    )


def test_the_dataset_stays_in_its_process(small_shards):
    """The loader's own dataset is refused in a worker, where the epoch would advance unseen."""
    loader = make(small_shards)
    batches = DataLoader(
        loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn, num_workers=1
    )
    with pytest.raises(
        ValueError,
        match=re.escape(
            "around the dataset of a ZoomLoader must be 0, got 1 – the loader decodes in threads"
        ),
    ):
        list(batches)
