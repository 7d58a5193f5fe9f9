"""Work on several images at once."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from foveal.sampler.threads import spread


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    """Set this number of threads for torch, which Foveal also uses."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_every_position_once(threads, count):
    """Every position is processed once, with any number of threads."""
    done: list[int] = []
    spread(done.append, count)

    assert sorted(done) == list(range(count))


def test_helpers_help(threads):
    """Two pieces of work that wait for each other both finish."""
    barrier = threading.Barrier(threads, timeout=10)
    spread(lambda _: barrier.wait(), threads)


def test_an_error_is_raised_after_all_work_ended(threads):
    """An error from any thread is raised after all work has ended."""
    running: list[int] = []

    def work(position: int) -> None:
        running.append(position)
        try:
            if position == 3:
                raise KeyError(position)
        finally:
            running.remove(position)

    for _ in range(20):
        with pytest.raises(KeyError):
            spread(work, 8)
        assert running == []


def test_many_callers_share_the_helpers(threads):
    """No caller waits for ever for helpers that others use."""
    done: list[int] = []
    with ThreadPoolExecutor(8) as callers:
        for _ in callers.map(lambda _: spread(done.append, 10), range(50)):
            pass

    assert len(done) == 500


class Image:
    """An object that can be freed."""


def test_helpers_that_come_too_late_hold_nothing(threads):
    """What the work refers to is freed when it is done, even if helpers are busy elsewhere."""
    image, done = Image(), threading.Event()
    gone, all_busy = weakref.ref(image), threading.Barrier(threads + 1, timeout=10)

    def wait(_: int) -> None:
        all_busy.wait()
        done.wait(10)

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(spread, wait, threads)
        all_busy.wait()
        spread(lambda _, image=image: None, threads)
        gc.disable()
        try:
            del image
            assert gone() is None
        finally:
            gc.enable()
            done.set()
        waiting.result()
