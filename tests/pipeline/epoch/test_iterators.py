"""Iterators of one loader: when an epoch ends, several iterators at once, and the loader's place meanwhile."""

import itertools
import re
import warnings

import pytest

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import EpochOrder, ShardWarning
from tests.pipeline.making import encode, picture
from tests.pipeline.processes import foveal_threads


def loader(urls, batch_size=2, **options) -> ZoomLoader:
    return ZoomLoader(
        urls,
        UniformSampler(4),
        batch_size=batch_size,
        fields=("image", "__key__"),
        **{"shuffle": True, **options},
    )


def keys(batches) -> list[str]:
    return [key for _, batch in batches for key in batch]


def order(epoch: int, iterator: int = 0) -> list[str]:
    """Return the order of an epoch, from its definition."""
    shuffled = EpochOrder([7, 6], shuffle=True, seed=0, epoch=epoch + 2**32 * iterator)
    return [f"{ordinal:03d}" for ordinal in shuffled]


def place(ours: ZoomLoader) -> tuple[int, int, int]:
    state = ours.state_dict()
    assert state["epoch"] == ours.epoch
    return state["epoch"], state["position"], state["iterator"]


def step_by_step(ours):
    batches = iter(ours)
    return [next(batches) for _ in range(len(ours))]


LOOPS = {
    "for": list,
    "next": step_by_step,
    "islice": lambda ours: list(itertools.islice(ours, len(ours))),
    "zip with range first": lambda ours: [batch for _, batch in zip(range(len(ours)), ours, strict=False)],
    "zip with range last": lambda ours: [batch for batch, _ in zip(ours, range(len(ours)), strict=True)],
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_an_epoch_is_over_with_its_last_batch(small_shards, loop):
    """An epoch ends with its last batch, however a loop counts; the next one has another order."""
    with loader(small_shards) as ours:
        for epoch in range(3):
            assert place(ours) == (epoch, 0, 0)
            assert keys(loop(ours)) == order(epoch)
            with loader(small_shards) as other:
                other.load_state_dict(ours.state_dict())
                assert keys(other) == order(epoch + 1)
        assert place(ours) == (3, 0, 0)


def test_what_a_loop_does_that_leaves_early(small_shards):
    """Each loop that ends early has another order of the same epoch; the state continues the last one."""
    with loader(small_shards) as ours, loader(small_shards) as other:
        for iterator in range(3):
            assert keys(itertools.islice(ours, 4)) == order(0, iterator)[:8]
            assert place(ours) == (0, 8, iterator)
        other.load_state_dict(ours.state_dict())
        assert keys(other) == order(0, 2)[8:]
        assert keys(ours) == order(0, 3)
        assert place(ours) == place(other) == (1, 0, 0)


def test_a_batch_drawn_beside_a_loop(small_shards):
    """A batch that is drawn beside a loop changes neither the loop's batches nor the loader's place."""
    with loader(small_shards) as ours:
        seen, drawn = [], []
        for step, batch in enumerate(ours):
            seen += batch[1]
            drawn += next(iter(ours))[1]
            if step < 6:
                assert place(ours) == (0, 2 * step + 2, 0)
        assert seen == order(0)
        assert drawn == [key for iterator in range(1, 7) for key in order(0, iterator)[:2]] + order(1)[:2]


def test_two_passes_side_by_side(small_shards):
    """Two interleaved passes are both complete, each in its own order, and the epoch ends once."""
    with loader(small_shards) as ours:
        for epoch in range(2):
            first, second = zip(*zip(ours, ours, strict=True), strict=True)
            assert keys(first) == order(epoch)
            assert keys(second) == order(epoch, 1)
        assert place(ours) == (2, 0, 0)


@pytest.mark.parametrize("taken", [1, 3])
def test_an_iterator_that_is_held_holds_nothing_back(small_shards, taken):
    """An iterator that is kept after some batches does not affect the epochs and states of later loops."""
    with loader(small_shards) as ours:
        held = iter(ours)
        assert keys(itertools.islice(held, taken)) == order(0)[: 2 * taken]
        assert keys(ours) == order(0, 1)
        assert place(ours) == (1, 0, 0)
        assert keys(itertools.islice(ours, 3)) == order(1)[:6]
        assert place(ours) == (1, 6, 0)
        assert next(held)[1] == order(0)[2 * taken : 2 * taken + 2]
        assert place(ours) == (1, 6, 0)


def test_some_batches_beside_a_loop(small_shards):
    """The place is that of the inner loop while it runs, and the outer loop's again with its next batch."""
    with loader(small_shards) as ours:
        outer = iter(ours)
        next(outer)
        assert keys(itertools.islice(ours, 3)) == order(0, 1)[:6]
        assert place(ours) == (0, 6, 1)
        next(outer)
        assert place(ours) == (0, 4, 0)


def test_any_number_of_iterators_with_threads_for_two(small_shards):
    """Any number of iterators deliver all samples; only the two used last have threads."""
    with loader(small_shards) as ours:
        iterators = [iter(ours) for _ in range(4)]
        passes = [[next(batches)[1] for batches in iterators] for _ in range(3)]
        assert foveal_threads().count("foveal-zoom") == 2
        rest = [keys(batches) for batches in iterators]
    for number, had in enumerate(zip(*passes, strict=True)):
        assert [key for batch in had for key in batch] + rest[number] == order(0, number)


def test_the_state_of_a_loader_whose_loop_goes_on(small_shards):
    """Loading a state or choosing an epoch affects the next iterator; running ones no longer move the loader."""
    with loader(small_shards) as ours:
        batches = iter(ours)
        next(batches)
        state = ours.state_dict()
        next(batches)
        ours.load_state_dict(state)
        next(batches)
        next(batches)
        assert ours.state_dict() == state
        assert keys(ours) == order(0)[2:]

        ours.set_epoch(3)
        assert keys(batches) == order(0)[8:]
        assert place(ours) == (3, 0, 0)


@pytest.mark.parametrize("taken", [0, 1])
def test_the_first_order_again(small_shards, taken):
    """Choosing the present epoch gives the next iterator the first order, whether or not an earlier one has delivered a batch."""
    with loader(small_shards) as ours:
        held = iter(ours)
        assert len(list(itertools.islice(held, taken))) == taken
        ours.set_epoch(0)
        assert keys(itertools.islice(ours, 2)) == order(0)[:4]
        assert next(held)[1] == order(0)[2 * taken : 2 * taken + 2]
        assert keys(ours) == order(0, 1)


def test_a_rank_may_draw_a_batch_alone(small_shards):
    """On several ranks all iterators of an epoch share its order, so that the ranks together still see each sample once."""
    ranks = [loader(small_shards, rank=rank, world_size=2) for rank in range(2)]
    next(iter(ranks[0]))
    seen = [keys(ours) for ours in ranks]
    assert sorted(seen[0] + seen[1]) == sorted(order(0))
    assert place(ranks[0]) == place(ranks[1]) == (1, 0, 0)

    next(iter(ranks[0]))
    for ours in ranks:
        assert keys(itertools.islice(ours, 1)) == keys([next(iter(ours))])
    assert place(ranks[0]) == place(ranks[1]) == (1, 4, 0)
    for ours in ranks:
        ours.close()


def test_an_epoch_without_batches_is_over_when_it_is_iterated(small_shards):
    """Each iteration over an epoch without batches ends one epoch."""
    with loader(small_shards, batch_size=14, last_batch="drop") as ours:
        for epoch in range(3):
            assert place(ours) == (epoch, 0, 0)
            assert list(ours) == []


@pytest.fixture
def with_a_bad_one(write_shard) -> str:
    """Return a shard of five samples, of which the last has no image."""
    samples = [{"__key__": f"{k}", "jpg": encode(picture(k, 20, 30)), "cls": k} for k in range(4)]
    return write_shard([*samples, {"__key__": "4", "cls": 4}])


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_the_warning_comes_with_the_last_batch(with_a_bad_one, loop):
    """The warning about an epoch's bad samples comes once, with the last batch, and points to the script's line."""
    with loader(with_a_bad_one, max_bad_fraction=1.0) as ours:
        with pytest.warns(
            ShardWarning, match=r"^1 bad sample\(s\) in this epoch, the first: .*: 4: "
        ) as caught:
            assert len(loop(ours)) == 3
        assert [warning.filename for warning in caught] == [__file__]
        assert place(ours) == (1, 0, 0)


def test_a_warning_that_is_an_error_loses_no_batch(with_a_bad_one):
    """If the warning is raised as an error, the place is before its batch."""
    with loader(with_a_bad_one, shuffle=False, max_bad_fraction=1.0) as ours:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ShardWarning)
            with pytest.raises(ShardWarning):
                list(ours)
        assert place(ours) == (0, 4, 0)
        ours.load_state_dict(ours.state_dict())
        assert len(list(ours)) == 1


def test_each_iterator_counts_its_own_bad_samples(write_shard):
    """Each pass counts its own bad samples, also if another begins meanwhile."""
    samples = [{"__key__": f"{k}", "cls": k} if k in (1, 4) else {"__key__": f"{k}", "jpg": encode(picture(k, 20, 30)), "cls": k} for k in range(6)]  # fmt: skip
    url = write_shard(samples)
    with loader(url, shuffle=False, max_bad_fraction=0.4, prefetch_factor=1) as ours:
        batches = iter(ours)
        next(batches)
        next(iter(ours))
        message = re.escape("2 bad sample(s) in this epoch, the first: ")
        with pytest.warns(ShardWarning, match=f"^{message}"):
            assert len(list(batches)) == 2
        assert [bad.key for bad in ours.bad_samples] == ["1", "4"]
