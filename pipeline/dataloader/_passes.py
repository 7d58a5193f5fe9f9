"""Counts the passes over a ``DataLoader`` whose workers iterate a loader.

Each pass begins with new copies of the loader, which would all begin the epoch with its first order. Therefore the copies
count passes in a file that they share with the loader.
"""

import fcntl
import os
import tempfile
import weakref

import numpy as np

_SEED = np.dtype(np.int64)


class WorkerPasses:
    """Numbers the passes that worker processes make over a loader. The workers must be forks of its process."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)

    def number(self, seed: int) -> int:
        """Return the number of a pass, the first of which is 0.

        Args:
            seed: The seed of the pass. torch draws a new one for each pass, and gives it to all workers.
        """
        fcntl.lockf(self._file, fcntl.LOCK_EX)  # the system also releases the lock if the worker is killed
        try:
            size = os.fstat(self._file).st_size
            seeds: list[int] = np.frombuffer(os.pread(self._file, size, 0), _SEED).tolist()
            if seed not in seeds:
                os.pwrite(self._file, _SEED.type(seed).tobytes(), size)
                seeds.append(seed)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        return seeds.index(seed)

    def begin_again(self) -> None:
        """Restart the count: the next pass is the first."""
        os.ftruncate(self._file, 0)
