"""Where passes over a DataLoader with workers begin."""

import copy
import gc
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline.dataloader import WorkerPasses, _passes
from foveal.pipeline.epoch import EpochPlace, Position

WORKERS = 3


def in_workers(passes: WorkerPasses) -> list[WorkerPasses]:
    """Return the copies that workers have which are forked now."""
    return [copy.copy(passes) for _ in range(WORKERS)]


@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans()), max_size=6),
    data=st.data(),
)
def test_workers_agree_however_late_they_begin(steps, data):
    """Workers begin each pass where it was chosen before the first of them began it, though others begin it much later."""
    passes = WorkerPasses()
    workers = in_workers(passes)
    begun, expected = [[] for _ in workers], []
    for count, epoch, resume in [(1, 0, False), *steps]:
        position = Position(EpochPlace(epoch, 2, 1), resume=resume)
        passes.choose(position)
        expected += [(position.place, resume, number) for number in range(count)]
        first = data.draw(st.integers(0, WORKERS - 1))
        while len(begun[first]) < len(expected):
            begun[first].append(begin(workers[first]))
        for worker in range(WORKERS):
            for _ in range(data.draw(st.integers(0, len(expected) - len(begun[worker])))):
                begun[worker].append(begin(workers[worker]))
    for worker, had in zip(workers, begun, strict=True):
        assert had + [begin(worker) for _ in range(len(expected) - len(had))] == expected


def begin(passes: WorkerPasses, seed: int = 7, own: Position | None = None) -> tuple[EpochPlace, bool, int]:
    position, number = passes.begin(seed, own or Position(EpochPlace(99)))
    return position.place, position.resumes, number


def test_a_loader_that_moved_before_its_workers_were_forked():
    """If nothing was chosen since a worker was forked, its copy of the position holds for all of its passes."""
    passes, moved = WorkerPasses(), Position(EpochPlace(3))
    passes.choose(Position(EpochPlace(1)))
    for number, worker in enumerate(in_workers(passes)):
        assert begin(worker, seed=number, own=moved) == (moved.place, False, number)


@pytest.mark.parametrize("later", [False, True])
def test_a_position_that_a_worker_chose(monkeypatch, later):
    """What a worker chooses for itself holds for it from its next pass on, until the loader's process chooses again."""
    passes = WorkerPasses()
    worker, other = in_workers(passes)[:2]
    begin(worker), begin(other)
    with monkeypatch.context() as patch:
        patch.setattr(_passes, "get_worker_info", lambda: "a worker")
        worker.choose(Position(EpochPlace(5, 4, 0), resume=True))
    if later:
        passes.choose(Position(EpochPlace(6)))
    for number in range(2):
        chosen = (EpochPlace(6), False) if later else (EpochPlace(5, 4, 0), True)
        assert begin(worker) == (*chosen, number)
        assert begin(other) == (
            (EpochPlace(6), False, number) if later else (EpochPlace(99), False, 1 + number)
        )


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_that_is_no_worker_chooses_for_itself():
    """What a fork chooses that is no worker of a DataLoader does not concern the workers of its parent."""
    passes = WorkerPasses()
    child = os.fork()
    if child == 0:
        passes.choose(Position(EpochPlace(5)))
        os._exit(0)
    os.waitpid(child, 0)
    assert begin(in_workers(passes)[0]) == (EpochPlace(99), False, 0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forks_agree():
    """Forked workers agree on the number of a pass, whichever of them is first, and count together."""
    passes, context = WorkerPasses(), multiprocessing.get_context("fork")
    with context.Pool(4, initializer=_SHARED.append, initargs=(passes,)) as pool:
        numbers = pool.map(_number, [seed for seed in range(50) for _ in range(4)], chunksize=1)
    assert sorted(numbers) == [number for number in range(50) for _ in range(4)]
    assert all(len(set(numbers[first : first + 4])) == 1 for first in range(0, 200, 4))


def test_no_file_stays_open():
    """Counting leaves no open file and no file on disk."""
    gc.collect()
    before = list(Path("/proc/self/fd").iterdir())
    for _ in range(5):
        begin(WorkerPasses())
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


_SHARED: list[WorkerPasses] = []


def _number(seed: int) -> int:
    return begin(copy.copy(_SHARED[0]), seed)[2]
