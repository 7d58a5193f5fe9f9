"""Decides which iterators of a loader prepare batches ahead: a few, however many there are."""

import itertools
import os
import weakref
from typing import Protocol

# A loop and a second one at the same time, such as in zip(loader, loader).
_MOST = 2


class Works(Protocol):
    """The interface of an iterator."""

    def rest(self) -> None:
        """Release threads and memory until the next batch is requested, and leave; do nothing while one is being taken."""

    def close(self) -> None:
        """Deliver no more batches."""


class AtWork:
    """The iterators of a loader. The two that were used last prepare batches ahead, all others pause.

    Several threads may use it, each with an iterator of its own. It has no lock, because pausing an iterator joins threads,
    in which the garbage collector may end another iterator of the loader.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._iterators: dict[int, weakref.ref[Works]] = {}
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._working: dict[int, None] = {}  # the one that was used last comes last

    def add(self, iterator: Works) -> int:
        """Register an iterator and return its number. It pauses until :meth:`work`."""
        number = next(self._numbers)
        for known, other in list(self._iterators.items()):
            if other() is None:
                self._iterators.pop(known, None)
        self._iterators[number] = weakref.ref(iterator)
        return number

    def work(self, number: int) -> None:
        """Let an iterator work, and pause others if there are too many, but none of which a batch is being taken."""
        if self._process != os.getpid():  # in a forked process, in which none works
            self._begin()
        self._working.pop(number, None)
        self._working[number] = None
        for oldest in list(self._working)[:-1]:
            if len(self._working) <= _MOST:
                break
            self._rest(oldest)

    def _rest(self, number: int) -> None:
        if (iterator := self._get(number)) is None:
            self._working.pop(number, None)
        else:
            iterator.rest()  # which leaves, unless a thread is taking a batch

    def leave(self, number: int) -> bool:
        """Record that an iterator stops working, and return whether no other one works."""
        self._working.pop(number, None)
        return all(self._get(other) is None for other in list(self._working))

    def close(self) -> None:
        """Close them all."""
        self._working.clear()  # all at once: they need not wait for each other
        for number in list(self._iterators):
            if (iterator := self._get(number)) is not None:
                iterator.close()

    def _get(self, number: int) -> Works | None:
        known = self._iterators.get(number)
        return None if known is None else known()
