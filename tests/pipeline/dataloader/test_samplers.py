"""A pass over a loader's batch sampler has a state, from which another pass continues."""

import itertools

import pytest
from torch.utils.data import DataLoader

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler


def make(urls, batch_size=2, **options):
    return ZoomLoader(urls, UniformSampler(8), batch_size=batch_size, shuffle=True, **options)


def continued(state, loader):
    """A pass that continues from a state."""
    batches = iter(loader.batch_sampler)
    batches.load_state_dict(state)
    return batches


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("taken", [0, 2])
def test_a_pass_continues(small_shards, loaded, taken):
    """A pass continues from its own state, which torchdata saves, also if it began at a loaded position, and moves its loader there."""
    loader = make(small_shards)
    loader.set_epoch(3)
    if loaded:
        next(iter(loader))
        loader.load_state_dict(loader.state_dict())
    batches = iter(loader.batch_sampler)
    assert len(list(itertools.islice(batches, taken))) == taken
    other = make(small_shards)
    rest = continued(batches.state_dict(), other)

    assert other.epoch == 3
    assert list(rest) == list(batches)


@pytest.mark.parametrize("taken", [0, 2, 7])
def test_states_of_earlier_versions(small_shards, taken):
    """A state that has the number of batches since the pass began continues there, or has nothing left."""
    loader = make(small_shards)
    earlier = continued({"epoch": 1, "number": taken}, loader)
    whole = make(small_shards)
    whole.set_epoch(1)

    assert loader.epoch == (2 if taken == 7 else 1)
    assert list(earlier) == list(whole.batch_sampler)[taken:]


def test_a_state_before_the_first_batch_of_an_earlier_version(small_shards):
    """A state of an earlier version that has no epoch leaves the loader where it is."""
    loader = make(small_shards)
    loader.set_epoch(2)

    assert list(continued({"epoch": None, "number": 0}, loader)) == list(loader.batch_sampler)
    assert loader.epoch == 2


@pytest.mark.parametrize("last_batch", ["partial", "drop", "pad"])
def test_a_pass_that_has_ended(small_shards, last_batch):
    """After an epoch's last batch nothing is left of a pass, and its loader is in the next epoch."""
    batches = iter(make(small_shards, 4, last_batch=last_batch).batch_sampler)
    for _ in range(3 if last_batch == "drop" else 4):
        next(batches)
    loader = make(small_shards, 4, last_batch=last_batch)
    rest = continued(batches.state_dict(), loader)

    assert loader.epoch == 1
    assert list(rest) == []
    assert loader.epoch == 1


def test_another_batch_size(small_shards):
    """A pass continues with the sample that would have come next, in batches of another size, too."""
    batches = iter(make(small_shards, 2).batch_sampler)
    next(batches)
    rest = continued(batches.state_dict(), make(small_shards, 5))

    assert list(itertools.chain(*rest)) == list(itertools.chain(*batches))


def test_an_epoch_without_a_batch(small_shards):
    """A pass over an epoch without a batch moves the loader on, so that a loop over epochs ends."""
    loader = make(small_shards, 20, last_batch="drop")
    batches = DataLoader(loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn)
    for epoch in range(3):
        assert loader.epoch == epoch
        assert list(batches) == []
