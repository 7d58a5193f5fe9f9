"""Work on several images at once, in threads of our own.

The kernels give up the interpreter's lock, so plain threads suffice. numba's own parallel loops would not do: their
portable threading layer aborts the process when two Python threads enter it at the same time.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

# By process, since threads do not survive a fork; and by size, since torch.set_num_threads may change it.
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def spread(work: Callable[[int], None], count: int) -> None:
    """Call ``work`` with 0 .. count - 1, on at most ``torch.get_num_threads()`` threads, and wait.

    May be called from many threads at once: they share the workers.
    """
    workers = torch.get_num_threads()
    if min(workers, count) < 2:
        for position in range(count):
            work(position)
        return
    for _ in _pool(workers).map(work, range(count)):  # the loop raises what a worker raised
        pass


def spread_rows(work: Callable[[int, tuple[int, int]], None], count: int, rows: int) -> None:
    """Call ``work(position, (first, last))`` so that every row of every image is in exactly one [first, last).

    Fewer images than threads are cut into bands: one image of 224 rows on two threads is rows [0, 112) and [112, 224).
    """
    bands = max(1, min(rows, torch.get_num_threads() // max(count, 1)))

    def one(task: int) -> None:
        position, band = divmod(task, bands)
        work(position, (band * rows // bands, (band + 1) * rows // bands))

    spread(one, count * bands)


def _pool(workers: int) -> ThreadPoolExecutor:
    key = os.getpid(), workers
    if key not in _pools:
        # Two threads may both get here: one executor is kept, the other has started no thread yet.
        _pools.setdefault(key, ThreadPoolExecutor(workers, thread_name_prefix="foveal-sampler"))
    return _pools[key]
