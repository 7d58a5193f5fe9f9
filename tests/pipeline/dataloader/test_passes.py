"""Passes over a DataLoader with workers are counted."""

import gc
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline.dataloader import WorkerPasses

SEEDS = st.lists(st.integers(0, 2**63 - 1), max_size=8)


@given(seeds=SEEDS, again=SEEDS)
def test_numbers_are_those_of_the_first_time(seeds, again):
    """Passes are numbered from 0 for each seed, and from 0 again after a reset."""
    passes = WorkerPasses()
    for given_seeds in (seeds, again):
        known = list(dict.fromkeys(given_seeds))
        assert [passes.number(seed) for seed in given_seeds] == [known.index(seed) for seed in given_seeds]
        passes.begin_again()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forks_agree():
    """Forked workers agree on the number of a pass, whichever of them is first."""
    passes, context = WorkerPasses(), multiprocessing.get_context("fork")
    with context.Pool(4, initializer=_SHARED.append, initargs=(passes,)) as pool:
        numbers = pool.map(_number, [seed for seed in range(50) for _ in range(4)], chunksize=1)
    assert sorted(numbers) == [number for number in range(50) for _ in range(4)]
    assert [numbers[first : first + 4] for first in range(0, 200, 4)] == [
        [passes.number(seed)] * 4 for seed in range(50)
    ]


def test_no_file_stays_open():
    """Counting leaves no open file and no file on disk."""
    gc.collect()
    before = list(Path("/proc/self/fd").iterdir())
    for _ in range(5):
        WorkerPasses().number(1)
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


_SHARED: list[WorkerPasses] = []


def _number(seed: int) -> int:
    return _SHARED[0].number(seed)
