"""Forks wait for threads that are about to be gone."""

import sys
import threading

import pytest
import torch

from foveal.sampler.threads import _ending, let_forks_wait, use_one_torch_thread
from tests.lingering import left_at_a_fork, make_threads_linger

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


def run(work) -> None:
    thread = threading.Thread(target=work, name="ours")
    thread.start()
    thread.join()


def test_a_fork_waits_for_threads_that_asked_for_it(monkeypatch):
    """At a fork, the system has no thread any more that has ended and asked forks to wait; it may have others."""
    begun = make_threads_linger(monkeypatch)
    run(let_forks_wait)
    assert left_at_a_fork(begun) == []

    if sys.version_info < (3, 13):  # from 3.13 on, joining a thread waits as well
        run(lambda: None)
        assert left_at_a_fork(begun) == ["ours"]


def test_the_thread_that_restores_the_number_of_threads_asked_for_it(monkeypatch):
    """A thread that was limited to one of torch's threads, and the one that it began for that, are gone at a fork."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    begun = make_threads_linger(monkeypatch)
    run(lambda: (let_forks_wait(), use_one_torch_thread()))
    torch.set_num_threads(before)
    assert len(begun) == 2
    assert left_at_a_fork(begun) == []


def test_a_fork_does_not_wait_for_threads_that_run(monkeypatch):
    """A fork neither waits for a thread that runs, nor for ever for one whose number another thread has got."""
    done, begun = threading.Event(), make_threads_linger(monkeypatch)
    thread = threading.Thread(target=lambda: (let_forks_wait(), done.wait(60)))
    thread.start()
    monkeypatch.setattr(_ending, "_MOST_SECONDS", 0.1)
    try:
        assert left_at_a_fork(begun) == []
        assert thread.is_alive()
        monkeypatch.setitem(_ending._known, thread.native_id, lambda: None)  # as of one that has ended
        assert left_at_a_fork(begun) == []
        assert thread.native_id not in _ending._known
    finally:
        done.set()
        thread.join()


def test_nobody_is_asked_whether_a_thread_runs(monkeypatch):
    """Threads neither join nor question each other: at the wrong moment, Python before 3.13 raises an error in one of them."""
    monkeypatch.setattr(threading.Thread, "is_alive", lambda _: pytest.fail("asked"))
    numbers = []
    begun = [threading.Thread(target=lambda: (let_forks_wait(), numbers.append(1))) for _ in range(20)]
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join()

    assert len(numbers) == 20
    left_at_a_fork({})
    assert _ending._ended() == []


def test_threads_that_are_gone_are_forgotten():
    """However many threads have asked, only those that are there are known."""
    for _ in range(50):
        run(let_forks_wait)
    left_at_a_fork({})
    run(let_forks_wait)
    assert len(_ending._ended()) <= 1
