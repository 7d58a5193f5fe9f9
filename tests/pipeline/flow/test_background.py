"""An iterator that runs in a thread of its own."""

import gc
import os
import threading
import time
import warnings
from collections.abc import Generator

import pytest

from foveal.pipeline.flow import Background


def count(log: list[str], *, upto: int = 10**9) -> Generator[int]:
    """Yield 0, 1, 2, ..., and record the thread in which the generator was closed."""
    try:
        yield from range(upto)
    finally:
        log.append(threading.current_thread().name)


def wait_until(condition) -> None:
    """Wait until another thread has done something."""
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


def test_items_arrive_in_order_and_end():
    """All items arrive once and in order; then StopIteration is raised at each call."""
    items = Background(count([], upto=100), ahead=3, name="t")

    assert list(range(100)) == list(items)
    assert list(items) == []


def test_runs_no_further_ahead_than_asked():
    """If the consumer is slow, `ahead` items wait and at most one more is made."""
    made: list[int] = []
    items = Background((made.append(k) or k for k in range(100)), ahead=2, name="t")
    wait_until(lambda: len(made) == 3)
    time.sleep(0.05)

    assert len(made) == 3
    items.close()


def test_an_error_arrives_after_what_came_before_it():
    """The producer's exception is raised after the items before it."""

    def broken() -> Generator[int]:
        yield 1
        raise KeyError("two")

    items = Background(broken(), ahead=5, name="t")

    assert next(items) == 1
    with pytest.raises(KeyError, match="two"):
        next(items)
    with pytest.raises(StopIteration):
        next(items)


def test_close_ends_the_generator_in_its_own_thread():
    """The generator is closed in the thread that ran it."""
    log: list[str] = []
    items = Background(count(log), ahead=1, name="mine")
    next(items)
    items.close()
    items.close()

    assert log == ["mine"]
    assert "mine" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(StopIteration):
        next(items)


def test_forgetting_it_ends_the_thread():
    """The thread ends with the last reference, without the cycle collector."""
    log: list[str] = []
    items = Background(count(log), ahead=1, name="mine")
    next(items)
    gc.disable()
    try:
        del items
    finally:
        gc.enable()

    assert log == ["mine"]


def test_keeps_no_item_that_was_handed_over():
    """After delivery, only the consumer refers to an item."""

    class Item:
        alive = 0

        def __init__(self) -> None:
            Item.alive += 1

        def __del__(self) -> None:
            Item.alive -= 1

    items = Background((Item() for _ in range(3)), ahead=4, name="t")
    wait_until(lambda: items._belt._items.qsize() == 4)
    item = next(items)
    assert Item.alive == 3
    del item

    assert Item.alive == 2
    items.close()
    assert Item.alive == 0


def test_a_consumer_that_waits_elsewhere_is_let_go():
    """Closing ends the wait of another thread for an item that will not come."""
    slow = threading.Event()
    items = Background(iter(lambda: slow.wait(0.2), None), ahead=1, name="t")
    next(items)
    seen: list[object] = []
    consumer = threading.Thread(target=lambda: seen.extend(items))
    consumer.start()
    time.sleep(0.05)
    items.close()
    consumer.join(timeout=10)

    assert not consumer.is_alive()


def test_closing_hurries_what_it_waits_for():
    """Closing calls a function that ends what the iterator waits for."""
    go = threading.Event()
    items = Background(iter(lambda: go.wait(20), None), ahead=1, name="mine", hurry=go.set)
    items.close()
    assert go.is_set()

    go.clear()
    items.close()
    assert not go.is_set()


def test_an_error_before_the_first_item_arrives(monkeypatch):
    """If the thread fails before it asks for an item, the error arrives, and nobody waits for ever."""

    def fail():
        raise AssertionError("of Python")

    monkeypatch.setattr("foveal.pipeline.flow._background.let_forks_wait", fail)
    log = []
    items = Background(count(log), ahead=1, name="t")

    with pytest.raises(AssertionError, match="of Python"):
        next(items)
    with pytest.raises(StopIteration):
        next(items)


@pytest.mark.parametrize("error", [AssertionError, RuntimeError("release unlocked lock")])
def test_several_threads_may_close(monkeypatch, error):
    """What Python raises in one of several threads that join the same one does not arrive."""
    items = Background(count([]), ahead=1, name="t")
    join = threading.Thread.join

    def join_with_others(thread, timeout=None):
        join(thread, timeout)
        raise error

    monkeypatch.setattr(threading.Thread, "join", join_with_others)
    items.close()

    assert next(items, None) is None


def test_closing_may_be_interrupted(monkeypatch):
    """If closing is interrupted, the thread still ends, and closing can be repeated."""
    log: list[str] = []
    items = Background(count(log), ahead=1, name="mine")
    next(items)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(items._thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            items.close()
    wait_until(lambda: log)
    items.close()

    assert log == ["mine"]
    assert not items._thread.is_alive()


def test_starting_may_be_interrupted(monkeypatch):
    """If Ctrl-C comes while the thread is being started, it ends by itself, and closes what it ran."""
    log: list[str] = []
    start = threading.Thread.start

    def interrupted(thread) -> None:
        def wait(*_) -> None:
            raise KeyboardInterrupt

        thread._started.wait = wait
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Background(count(log), ahead=1, name="mine")
    gc.collect()
    wait_until(lambda: log)
    wait_until(lambda: "mine" not in {thread.name for thread in threading.enumerate()})


def test_a_fork_has_no_thread():
    """In a forked process the iterator is refused, and dropping it does not wait for the parent's thread."""
    items = Background(count([]), ahead=1, name="mine")
    next(items)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: forks and threads
        child = os.fork()
    if child == 0:
        try:
            next(items)
        except RuntimeError as error:
            items.close()
            del items
            right = str(error) == (
                "an epoch must be iterated in the process that began it, got a fork of it – begin another one here."
            )
            os._exit(7 if right else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    items.close()
