"""Several threads use one loader."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest
import torch

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from tests.pipeline.epoch.loading import ALL, keys, loader
from tests.time_limits import HANGS_AFTER_S

CLOSED = re.escape(
    "loader must stay open until the loops over it are over, got close() from another thread – the epoch is not complete, and "
    "load_state_dict(state_dict()) continues it."
)


class Gated(UniformSampler):
    """A zoom that waits in its first call, so that a thread is known to be waiting for a batch."""

    def __init__(self, *, trains: bool) -> None:
        super().__init__(4)
        self.weight = torch.nn.Parameter(torch.zeros(()), requires_grad=trains)
        self.reached, self.opened = threading.Event(), threading.Event()

    def forward(self, *args, **options):
        self.reached.set()
        assert self.opened.wait(HANGS_AFTER_S)
        return super().forward(*args, **options)


class Running:
    """A function that runs in a thread, and what came of it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work, self._result, self._error = work, None, None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error

    def result(self) -> object:
        self._thread.join(HANGS_AFTER_S)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
        return self._result


@contextmanager
def a_loop_that_waits(urls, *, trains: bool) -> Iterator[tuple[ZoomLoader, Running]]:
    """Yield a loader and a loop over it in another thread, which waits for its first batch for some tenths of a second more."""
    zoom = Gated(trains=trains)
    with loader(urls, zoom) as ours:
        loop = Running(lambda: keys(ours))
        assert zoom.reached.wait(HANGS_AFTER_S)
        opener = threading.Timer(0.3, zoom.opened.set)
        opener.start()
        try:
            yield ours, loop
        finally:
            opener.join()


@pytest.mark.parametrize("trains", [False, True])
def test_a_loop_that_waits_is_not_paused(small_shards, trains):
    """A loop that waits for a batch delivers all samples, although iterators that began later use up the places for two."""
    with a_loop_that_waits(small_shards, trains=trains) as (ours, loop):
        others = [iter(ours) for _ in range(3)]
        assert [next(other)[1] for other in others] == [ALL[:2]] * 3
        assert loop.result() == ALL
        assert [keys(other) for other in others] == [ALL[2:]] * 3


@pytest.mark.parametrize("trains", [False, True])
def test_a_loop_in_each_of_several_threads(small_shards, trains):
    """Each of several loops at the same time delivers all samples."""
    zoom = Gated(trains=trains)
    zoom.opened.set()
    with loader(small_shards, zoom) as ours:
        for loop in [Running(lambda: keys(ours)) for _ in range(4)]:
            assert loop.result() == ALL


@pytest.mark.parametrize("trains", [False, True])
def test_threads_that_share_an_iterator(small_shards, trains):
    """Threads that share an iterator get its batches, each once."""
    with a_loop_that_waits(small_shards, trains=trains) as (ours, _):
        shared = iter(ours)
        parts = [Running(lambda: keys(shared)) for _ in range(3)]
        assert sorted(key for part in parts for key in part.result()) == ALL


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_while_a_thread_waits(small_shards):
    """In a fork, an iterator for whose batch a thread of the parent waits is refused, instead of waiting for ever."""
    zoom = Gated(trains=False)
    with loader(small_shards, zoom) as ours:
        shared = iter(ours)
        loop = Running(lambda: keys(shared))
        assert zoom.reached.wait(HANGS_AFTER_S)
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # ends it if it waits
            try:
                next(shared)
            except RuntimeError as error:
                os._exit(7 if str(error).startswith("an epoch must be iterated in the process that") else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        zoom.opened.set()
        assert loop.result() == ALL


@pytest.mark.parametrize("trains", [False, True])
def test_closing_a_loader_for_which_a_loop_waits(small_shards, trains):
    """A loop that waits for a batch while another thread closes the loader raises an error, and the epoch can be continued."""
    with a_loop_that_waits(small_shards, trains=trains) as (ours, loop):
        ours.close()
        with pytest.raises(RuntimeError, match=f"^{CLOSED}$"):
            loop.result()
        ours.load_state_dict(ours.state_dict())
        assert keys(ours) == ALL


def test_closing_a_loader_between_the_batches_of_a_loop(small_shards):
    """A loop that asks for a batch after another thread has closed the loader raises an error; one of the same thread ends."""
    with loader(small_shards) as ours:
        elsewhere: Iterable[object] = iter(ours)
        assert Running(lambda: next(elsewhere)[1]).result() == ALL[:2]
        ours.close()
        with pytest.raises(RuntimeError, match=f"^{CLOSED}$"):
            Running(lambda: next(elsewhere)).result()
        assert next(elsewhere, None) is None
