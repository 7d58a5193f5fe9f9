"""Works on several images at once, in Foveal's own threads.

The kernels release the interpreter's lock, so plain threads suffice. numba's own parallel loops cannot be used, because
their portable threading layer aborts the process if two Python threads enter it at the same time; nor torch's OpenMP
threads, because they wait for each other at every barrier while other threads decode.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from foveal._submit import submit
from foveal.sampler.threads._ending import let_forks_wait
from foveal.sampler.threads._one_thread import use_one_torch_thread

# One for each process, because threads do not survive a fork, and for each size, because torch.set_num_threads may change
# it.
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_own = threading.local()


def spread_over(threads: int) -> None:
    """Spread the work of the calling thread over this many threads, whatever torch's setting is."""
    _own.threads = threads


def _threads() -> int:
    own: int | None = getattr(_own, "threads", None)
    return torch.get_num_threads() if own is None else own


def spread(work: Callable[[int], None], count: int) -> None:
    """Call ``work`` with 0 .. count - 1, on at most ``torch.get_num_threads()`` threads (:func:`spread_over`), and wait.

    The calling thread takes its share, or all of it if no other thread gets a processor, so this is never slower than a
    loop. It may be called from many threads at once, which share the helper threads.
    """
    positions = iter(range(count))  # shared: each position goes to the thread that takes it first
    todo = [work]

    threads = min(_threads(), count)
    helpers = [submit(_pool(threads - 1), _take_turns, positions, todo) for _ in range(threads - 1)]
    try:
        _take_turns(positions, todo)
    finally:
        late = [helper for helper in helpers if not helper.cancel()]
        for helper in late:
            helper.exception()  # waits
        todo.clear()  # a helper that its pool has not forgotten yet would hold the images
    for helper in late:
        helper.result()  # raises what a helper raised


def _take_turns(positions: Iterator[int], todo: list[Callable[[int], None]]) -> None:
    for position in positions:
        todo[0](position)


def spread_rows(work: Callable[[int, tuple[int, int]], None], count: int, rows: int) -> None:
    """Call ``work(position, (first, last))`` so that each row of each image is in one [first, last), and wait.

    Fewer images than threads are cut into bands: one image of 224 rows on two threads is rows [0, 112) and [112, 224).
    """
    bands = max(1, min(rows, _threads() // max(count, 1)))
    spread(lambda task: work(task // bands, _band(task % bands, bands, rows)), count * bands)


def _band(band: int, bands: int, rows: int) -> tuple[int, int]:
    return band * rows // bands, (band + 1) * rows // bands


def _pool(helpers: int) -> ThreadPoolExecutor:
    key = os.getpid(), helpers
    if key not in _pools:
        # Two threads may both get here: one executor is kept, and the other has not started a thread yet.
        pool = ThreadPoolExecutor(helpers, thread_name_prefix="foveal-sampler", initializer=_begin_helper)
        _pools.setdefault(key, pool)
    return _pools[key]


def _begin_helper() -> None:
    let_forks_wait()
    use_one_torch_thread()
