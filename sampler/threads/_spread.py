"""Work on several images at once, in threads of our own.

The kernels give up the interpreter's lock, so plain threads suffice. numba's own parallel loops would not do: their
portable threading layer aborts the process when two Python threads enter it at the same time. torch's OpenMP threads
would not do either: beside threads that decode, they wait for each other at every barrier.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from foveal.sampler.threads._one_thread import use_one_torch_thread

# By process, since threads do not survive a fork; and by size, since torch.set_num_threads may change it.
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_own = threading.local()


def spread_over(threads: int) -> None:
    """Let work of the calling thread be spread over so many, whatever torch's number is."""
    _own.threads = threads


def _threads() -> int:
    own: int | None = getattr(_own, "threads", None)
    return torch.get_num_threads() if own is None else own


def spread(work: Callable[[int], None], count: int) -> None:
    """Call ``work`` with 0 .. count - 1, on at most ``torch.get_num_threads()`` threads (:func:`spread_over`), and wait.

    The calling thread takes its share, and all of it where no other gets a processor: that is never slower than a
    loop. May be called from many threads at once: they share the helpers.
    """
    positions = iter(range(count))  # shared: each position goes to the thread that asks first
    todo = [work]

    def take_turns() -> None:
        for position in positions:
            todo[0](position)

    threads = min(_threads(), count)
    helpers = [_pool(threads - 1).submit(take_turns) for _ in range(threads - 1)]
    try:
        take_turns()
    finally:
        late = [helper for helper in helpers if not helper.cancel()]
        for helper in late:
            helper.exception()  # waits
        todo.clear()  # a helper that its pool has not forgotten yet would hold the images
    for helper in late:
        helper.result()  # raises what a helper raised


def spread_rows(work: Callable[[int, tuple[int, int]], None], count: int, rows: int) -> None:
    """Call ``work(position, (first, last))`` so that each row of each image is in one [first, last), and wait.

    Fewer images than threads are cut into bands: one image of 224 rows on two threads is rows [0, 112) and [112, 224).
    """
    bands = max(1, min(rows, _threads() // max(count, 1)))

    def one(task: int) -> None:
        position, band = divmod(task, bands)
        work(position, (band * rows // bands, (band + 1) * rows // bands))

    spread(one, count * bands)


def _pool(helpers: int) -> ThreadPoolExecutor:
    key = os.getpid(), helpers
    if key not in _pools:
        # Two threads may both get here: one executor is kept, the other has started no thread yet.
        pool = ThreadPoolExecutor(
            helpers, thread_name_prefix="foveal-sampler", initializer=use_one_torch_thread
        )
        _pools.setdefault(key, pool)
    return _pools[key]
