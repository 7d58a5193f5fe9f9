"""Buffers that are lent to tensors and come back."""

import sys
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline.flow import Buffers, shared_buffers


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=40))
def test_what_is_lent_is_nobody_elses(steps):
    """In any sequence of loans and returns, buffers never overlap, and the limit of kept memory holds."""
    buffers, out = Buffers(100), []
    for size, give_back in steps:
        if give_back and out:
            out.pop(0)
        else:
            out.append(buffers.take(size))
            assert len(out[-1]) == size
        for k, lent in enumerate(out):
            lent[:] = k
        assert all((lent == k).all() for k, lent in enumerate(out))
        assert buffers.held <= max(100, 2 * sum(map(len, out)))
    out.clear()
    assert buffers.held <= 100


def test_a_buffer_that_nearly_fits_is_used():
    """The smallest buffer that fits is used, unless it is more than twice as large."""
    buffers = Buffers(1000)
    addresses = {}
    lent = {size: buffers.take(size) for size in (100, 120, 300)}
    addresses = {size: array.ctypes.data for size, array in lent.items()}
    lent.clear()

    assert buffers.take(90).ctypes.data == addresses[100]
    assert buffers.take(110).ctypes.data == addresses[120]
    assert buffers.take(20).ctypes.data not in addresses.values()


def test_no_python_runs_when_memory_comes_back():
    """Returning a buffer runs no Python code, in which a Ctrl-C would be lost."""
    calls = []

    def watch() -> None:
        sys.setprofile(lambda frame, event, _: calls.append((event, frame.f_code.co_name)))

    lent, other = Buffers(100).take(10), type("Noisy", (), {"__del__": lambda self: None})()
    watch()
    del lent
    sys.setprofile(None)
    assert [name for event, name in calls if event == "call"] == []
    watch()
    del other
    sys.setprofile(None)
    assert [name for event, name in calls if event == "call"] == ["<lambda>"]


def test_what_is_lent_when_all_is_cleared_outlives_it():
    """A lent buffer survives clearing, is no longer counted, and is not lent again."""
    buffers = Buffers(100)
    lent = buffers.take(10)
    lent[:] = 7
    buffers.clear()
    assert buffers.held == 0
    buffers.take(10)[:] = 1
    assert (lent == 7).all()


def test_many_threads():
    """With many threads, each buffer keeps what its thread wrote."""
    buffers, wrong = Buffers(10_000), []

    def work(number: int) -> None:
        for step in range(300):
            lent = buffers.take(1 + (number * 37 + step * 11) % 500)
            lent[:] = number
            if not np.array_equal(lent, np.full_like(lent, number)):
                wrong.append((number, step))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert buffers.held <= 10_000


def test_memory_of_one_limit_is_shared_while_it_is_used():
    """What one returns another gets; when none of them is left, it is gone."""
    one, other, more = shared_buffers(1000), shared_buffers(1000), shared_buffers(2000)
    where = one.take(100).ctypes.data

    assert other is one
    assert more is not one
    assert other.take(100).ctypes.data == where
    del one, other
    assert shared_buffers(1000).held == 0
