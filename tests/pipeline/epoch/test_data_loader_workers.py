"""Worker processes of a DataLoader around a loader share its epochs."""

import itertools

import pytest
from torch.utils.data import DataLoader, IterableDataset

from foveal.pipeline import ZoomLoader
from tests.pipeline.epoch.loading import ALL, keys, loader

# Python's word on forks beside threads, and torch's on more workers than processors: neither is ours.
QUIET = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded.*:DeprecationWarning", "ignore:This DataLoader will create:UserWarning"
)


pytestmark = pytest.mark.usefixtures("no_launcher")


class AsDataset(IterableDataset):
    """A dataset around a loader, as users write it for frameworks that want a dataset."""

    def __init__(self, ours: ZoomLoader) -> None:
        self.ours = ours

    def __iter__(self):
        return iter(self.ours)

    def __len__(self) -> int:
        return len(self.ours)


@QUIET
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("last_batch", ["partial", "drop", "pad"])
def test_the_workers_of_a_data_loader_take_turns(small_shards, workers, last_batch):
    """Any number of workers deliver the same batches in the same order."""
    with loader(small_shards, last_batch=last_batch) as ours:
        expected = [batch for _, batch in ours]
        ours.set_epoch(0)
        around = DataLoader(AsDataset(ours), batch_size=None, num_workers=workers)
        assert [batch for _, batch in around] == expected
        assert len(around) == len(expected)


@QUIET
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_each_pass_over_a_data_loader_has_its_order(small_shards, persistent, workers):
    """Each pass has its own order, although workers begin with copies of one loader, and whatever torch's seed is."""
    with loader(small_shards, shuffle=True) as ours:
        around = DataLoader(
            AsDataset(ours), batch_size=None, num_workers=workers, persistent_workers=persistent
        )
        passes = [keys(around) for _ in range(3)]
        assert [sorted(each) for each in passes] == [ALL] * 3
        assert len(set(map(tuple, passes))) == 3

        assert passes[0] == keys(ours)
        ours.set_epoch(0)
        assert [keys(around) for _ in range(3)] == passes


@QUIET
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_an_epoch_that_is_chosen_beside_workers(small_shards, persistent, workers):
    """``set_epoch`` of the loader chooses the order of the next pass, also in workers that exist already."""
    with loader(small_shards, shuffle=True) as ours:
        orders = [keys(ours) for _ in range(4)]
        around = DataLoader(
            AsDataset(ours), batch_size=None, num_workers=workers, persistent_workers=persistent
        )
        for epoch in (0, 3, 1, 1):
            ours.set_epoch(epoch)
            assert keys(around) == orders[epoch]
            next(iter(around))


@QUIET
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_state_that_is_loaded_beside_workers(small_shards, persistent, workers):
    """The first pass continues from the loaded state; later passes are complete, each in its own order."""
    with loader(small_shards, shuffle=True) as ours:
        whole = list(ours)
        ours.set_epoch(0)
        next(iter(ours))
        around = DataLoader(
            AsDataset(ours), batch_size=None, num_workers=workers, persistent_workers=persistent
        )
        if persistent:
            next(iter(around))
        ours.load_state_dict(ours.state_dict())
        assert keys(around) == keys(whole[1:])
        passes = [keys(around) for _ in range(3)]
        assert [sorted(each) for each in passes] == [ALL] * 3
        assert len({tuple(keys(whole)), *map(tuple, passes)}) == 4


@QUIET
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_pass_over_a_data_loader_that_is_left(small_shards, persistent, shuffle):
    """After a pass that was left, the workers of the next ones agree on their order, whatever they had prepared ahead."""
    with loader(small_shards, batch_size=1, shuffle=shuffle) as ours:
        around = DataLoader(AsDataset(ours), batch_size=None, num_workers=2, persistent_workers=persistent)
        for taken in (1, 7, 8, 9):
            assert len(list(itertools.islice(around, taken))) == taken
            assert sorted(keys(around)) == ALL


class ChoosesItself(AsDataset):
    """A dataset that chooses an epoch in each worker."""

    def __iter__(self):
        self.ours.set_epoch(2)
        return super().__iter__()


@QUIET
@pytest.mark.parametrize("persistent", [False, True])
def test_an_epoch_that_workers_choose(small_shards, persistent):
    """An epoch that a dataset chooses in each worker has its first order, as without workers."""
    with loader(small_shards, shuffle=True) as ours:
        ours.set_epoch(2)
        expected = keys(ours)
        around = DataLoader(
            ChoosesItself(ours), batch_size=None, num_workers=2, persistent_workers=persistent
        )
        for _ in range(3):
            assert keys(around) == expected
            next(iter(around))
