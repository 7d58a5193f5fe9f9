import pickle
import re
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.shards import EpochOrder

counts_lists = st.lists(st.integers(0, 6), max_size=12)
numbers = st.integers(0, 2**64 - 1)


def listed(order):
    return [order[position] for position in range(len(order))]


@given(counts_lists, numbers, numbers, st.integers(1, 5))
def test_visits_every_sample_once(counts, seed, epoch, window):
    """An epoch is a permutation, and the same each time."""
    order = EpochOrder(counts, shuffle=True, seed=seed, epoch=epoch, window=window)

    assert sorted(listed(order)) == list(range(sum(counts)))
    assert listed(order) == listed(
        EpochOrder(np.array(counts, np.int64), shuffle=True, seed=seed, epoch=epoch, window=window)
    )


@given(counts_lists, numbers, st.integers(1, 5))
def test_a_window_is_a_run_of_positions(counts, seed, window):
    """The samples of a window's shards are contiguous, so few tars are read at a time."""
    order = EpochOrder(counts, shuffle=True, seed=seed, epoch=0, window=window)
    shard_of = np.repeat(np.arange(len(counts)), counts)
    shards_left = {int(shard) for shard in shard_of}
    visited = [int(shard_of[number]) for number in listed(order)]
    while visited:
        # the next window: as many shards as it has, empty ones left aside
        in_window = min(window, len(shards_left))
        length = next(n for n in range(1, len(visited) + 1) if _is_closed(visited[:n], counts))
        assert len(set(visited[:length])) <= in_window
        shards_left -= set(visited[:length])
        visited = visited[length:]


def _is_closed(shards, counts):
    return all(shards.count(shard) == counts[shard] for shard in set(shards))


def test_the_window_check_can_fail():
    """The check fails if samples of a shard are missing from its window."""
    assert _is_closed([0, 1, 0], [2, 1])
    assert not _is_closed([0, 1], [2, 1])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.data())
def test_reads_in_any_order(counts, data):
    """A position gives the same sample at any time, also counted from the end."""
    order = EpochOrder(counts, shuffle=True, seed=1, epoch=2, window=2)
    expected = listed(EpochOrder(counts, shuffle=True, seed=1, epoch=2, window=2))
    positions = data.draw(st.lists(st.integers(-len(order), len(order) - 1)))

    assert [order[position] for position in positions] == [expected[position] for position in positions]


def test_is_pinned():
    """The order is fixed for all versions, so that an epoch can be resumed with another version."""
    order = EpochOrder([3, 0, 4, 1, 2], shuffle=True, seed=7, epoch=3, window=2)

    assert listed(order) == [7, 3, 5, 6, 4, 9, 2, 1, 0, 8]


def test_mixes():
    """Seeds and epochs have different orders, shards change places, and windows mix their shards."""
    counts = [10] * 32
    first = listed(EpochOrder(counts, shuffle=True, seed=0, epoch=0))

    assert first != listed(EpochOrder(counts, shuffle=True, seed=1, epoch=0))
    assert first != listed(EpochOrder(counts, shuffle=True, seed=0, epoch=1))
    assert len({number // 10 for number in first[:160]}) == 16
    assert {number // 10 for number in first[:160]} != set(range(16))
    assert len({number // 10 for number in first[:16]}) > 5


def test_is_uniform():
    """Over many epochs, each sample comes first about equally often."""
    firsts = [EpochOrder([2, 2, 2], shuffle=True, seed=0, epoch=epoch)[0] for epoch in range(1200)]

    assert np.bincount(firsts).tolist() == pytest.approx([200] * 6, abs=60)


def test_without_shuffle_is_the_identity():
    """Without shuffling, samples come in the order of their numbers."""
    assert EpochOrder([2, 1], shuffle=False, seed=0, epoch=0)[np.int64(2)] == 2
    assert listed(EpochOrder([2, 0, 3], shuffle=False, seed=0, epoch=5)) == [0, 1, 2, 3, 4]


def test_keeps_two_windows_at_most():
    """Memory does not grow with the epoch, and crossing a window's border repeatedly computes nothing twice."""
    order = EpochOrder([5] * 40, shuffle=True, seed=0, epoch=0, window=4)
    listed(order)
    kept = order._recent
    assert len(kept) == 2
    assert sum(len(samples) for _, samples in kept) == 40

    order[179], order[180], order[179], order[180]
    assert order._recent is kept


def test_threads_share_one():
    """Threads in different windows read what one thread reads."""
    order = EpochOrder([7] * 50, shuffle=True, seed=3, epoch=0, window=3)
    expected = listed(EpochOrder([7] * 50, shuffle=True, seed=3, epoch=0, window=3))
    wrong = []

    def read(step):
        wrong.extend(p for k in range(350) if order[p := k * step % 350] != expected[p])

    threads = [threading.Thread(target=read, args=(step,)) for step in (1, 37, 113, 349)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_pickles():
    """An order can be pickled."""
    order = EpochOrder([3, 4], shuffle=True, seed=0, epoch=0)

    assert listed(pickle.loads(pickle.dumps(order))) == listed(order)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"counts": [1, -1]}, "counts must be a list of whole numbers, none negative, got [1, -1]"),
        ({"seed": -1}, "seed must be in [0, 2**64), got -1"),
        ({"epoch": 2**64}, "epoch must be in [0, 2**64), got 18446744073709551616"),
        ({"window": 0}, "window must be in [1, 2**64), got 0"),
    ],
)
def test_refuses_what_has_no_order(changed, message):
    """An invalid argument is named with its value."""
    arguments = {"counts": [1], "shuffle": True, "seed": 0, "epoch": 0, **changed}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        EpochOrder(**arguments)


@pytest.mark.parametrize("position", [5, -6])
def test_there_is_no_position_beyond(position):
    """A position outside the epoch is an error that gives the valid range."""
    order = EpochOrder([2, 3], shuffle=True, seed=0, epoch=0)

    with pytest.raises(IndexError, match=re.escape(f"position must be in [-5, 5), got {position}")):
        order[position]
