"""Says where the passes over a ``DataLoader`` begin whose workers iterate a loader.

Each worker has a copy of the loader, which is made for each pass or, in a persistent worker, for all of them. The copies
do not go by their own positions: when a pass is left early, they have come to different ones. They share a file with the
loader, to which the loader adds where the next pass begins when an epoch is chosen or a state loaded, and the worker that
is first in a pass adds the pass. What stands before a pass holds for all workers, however late they begin it.
"""

import fcntl
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch.utils.data import get_worker_info

from foveal.pipeline.epoch import EpochPlace, Position

Row = tuple[int, ...]  # of six numbers
_NUMBER = np.dtype(np.int64)
_BYTES = 6 * _NUMBER.itemsize
_PLACE = -1  # in the place of a seed, which is not negative


class WorkerPasses:
    """Positions and numbers of the passes that worker processes make over a loader. The workers must be forks of its process."""

    def __init__(self) -> None:
        self._open()
        # How many positions this process had chosen; in a worker, its parent when it was forked.
        self._told = 0
        self._begun = 0
        self._given: Position | None = None
        # The value of `_told` at which the given position was chosen.
        self._given_by = 0
        # Passes that began before the worker itself chose a position; None until the next one.
        self._before: int | None = 0

    def _open(self) -> None:
        self._process = os.getpid()
        with tempfile.TemporaryFile() as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)

    def choose(self, position: Position) -> None:
        """Make the next pass begin at a position, those of all workers or, in a worker, its own."""
        if get_worker_info() is None:
            self._tell(position)
            return
        with self._locked() as rows:
            self._given, self._given_by, self._before = position.of_pass(0), _chosen_before(rows)[1], None

    def _tell(self, position: Position) -> None:
        # In a fork that is no worker: its parent's workers are not concerned.
        if self._process != os.getpid():
            self._open()
        self._told += 1
        place = position.place
        with self._locked() as rows:
            if rows and rows[-1][0] == _PLACE:  # no pass began there
                rows.pop()
            self._write(
                (_PLACE, self._told, place.epoch, place.position, place.iterator, position.resumes), len(rows)
            )

    def begin(self, seed: int, position: Position) -> tuple[Position, int]:
        """Return the chosen position, and how many passes have begun there before the one that this worker begins.

        Args:
            seed: The seed of the workers. torch draws a new one whenever it starts workers, and gives it to all of them.
            position: The position of this worker's loader, which holds if none has been chosen since it was forked.
        """
        rows = self._noted((seed, self._told, self._begun, 0, 0, 0))
        self._begun += 1
        _, chosen, epoch, place, iterator, resume = _chosen_before(rows)
        if chosen > max(self._told, self._given_by):
            self._given = Position(EpochPlace(epoch, place, iterator), resume=bool(resume))
            self._given_by, self._before = chosen, 0
        elif self._given is None:
            self._given = position
        number = next((k for k, row in enumerate(reversed(rows[:-1])) if row[0] == _PLACE), len(rows) - 1)
        if self._before is None:
            self._before = number
        return self._given, number - self._before

    def _noted(self, begun: Row) -> list[Row]:
        """Return the file's rows up to that of a pass, which is added if no worker has."""
        with self._locked() as rows:
            if begun not in rows:
                self._write(begun, len(rows))
                return [*rows, begun]
            return rows[: rows.index(begun) + 1]

    def _write(self, row: Row, number: int) -> None:
        os.pwrite(self._file, np.array(row, _NUMBER).tobytes(), number * _BYTES)

    @contextmanager
    def _locked(self) -> Iterator[list[Row]]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)  # the system also releases the lock if the worker is killed
        try:
            stored = os.pread(self._file, os.fstat(self._file).st_size, 0)
            yield [tuple(row) for row in np.frombuffer(stored, _NUMBER).reshape(-1, 6).tolist()]
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def _chosen_before(rows: list[Row]) -> Row:
    """Return the last position that was chosen."""
    return next((row for row in reversed(rows) if row[0] == _PLACE), (_PLACE, 0, 0, 0, 0, 0))
