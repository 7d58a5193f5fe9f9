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
    """That many threads for torch, and so for us."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_every_position_once(threads, count):
    """However many threads take their turns."""
    done: list[int] = []
    spread(done.append, count)

    assert sorted(done) == list(range(count))


def test_helpers_help(threads):
    """Work that can only end together is done together."""
    barrier = threading.Barrier(threads, timeout=10)
    spread(lambda _: barrier.wait(), threads)


def test_an_error_is_raised_after_all_work_ended(threads):
    """From whichever thread it comes; nothing still runs when it arrives."""
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
    """No caller waits for ever for another's helpers."""
    done: list[int] = []
    with ThreadPoolExecutor(8) as callers:
        for _ in callers.map(lambda _: spread(done.append, 10), range(50)):
            pass

    assert len(done) == 500


class Image:
    """Something that can be freed."""


def test_helpers_that_come_too_late_hold_nothing(threads):
    """What the work needs is free when it is done, though each helper is still busy with another's."""
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
