"""A function that is applied in several threads, with results in the order of the items."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.pipeline.flow import in_threads

WAYS = pytest.mark.parametrize("at_once", [1, 2, 5])


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "foveal-read"]


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.integers(0, 3)), at_once=st.integers(1, 6))
def test_answers_come_in_order(items, at_once):
    """Results come in order, however long each call takes."""

    def slowly(item: int) -> tuple[str, int]:
        time.sleep(item / 1000)
        return ("answer", item)

    assert list(in_threads(slowly, items, at_once)) == [("answer", item) for item in items]
    assert readers() == []


def test_so_many_are_worked_on_at_once():
    """Four calls run at the same time."""
    together = threading.Barrier(4)

    assert sorted(in_threads(lambda _: together.wait(20), range(8), 4)) == [0, 0, 1, 1, 2, 2, 3, 3]


@WAYS
def test_runs_no_further_ahead_than_asked(at_once):
    """An item is taken when a result was taken, and one more for each thread."""
    taken: list[int] = []
    answers = in_threads(str, (taken.append(k) or k for k in range(100)), at_once)
    for number in range(5):
        assert next(answers) == str(number)
        assert len(taken) == number + at_once
    answers.close()


@WAYS
def test_an_error_comes_in_its_place(at_once):
    """An error is raised after the results before it, and then no thread does any more work."""
    answers = in_threads(lambda k: 1 // (3 - k), range(10), at_once)

    assert [next(answers) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(answers)
    assert list(answers) == []
    assert readers() == []


@WAYS
def test_an_error_of_the_items_ends_it(at_once):
    """An error of the iterator of items is raised, too."""

    def items():
        yield 1
        raise KeyError("two")

    with pytest.raises(KeyError, match="two"):
        list(in_threads(str, items(), at_once))
    assert readers() == []


def test_closing_waits_for_what_was_begun_and_does_no_more():
    """After closing, no call is running."""
    begun, ended, go = [], [], threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item:
            go.wait(20)
        ended.append(item)
        return item

    answers = in_threads(work, range(100), 4)
    assert next(answers) == 0
    threading.Timer(0.1, go.set).start()
    answers.close()

    assert sorted(begun) == sorted(ended)
    assert len(begun) <= 5
    assert readers() == []


def test_forgetting_it_ends_the_threads():
    """Threads end when the generator is garbage."""
    answers = in_threads(str, range(100), 4)
    next(answers)
    del answers

    assert readers() == []


def test_one_at_a_time_needs_no_thread():
    """With one thread, calls run in the thread that asks for results."""
    assert set(in_threads(lambda _: threading.current_thread(), range(3), 1)) == {threading.current_thread()}
