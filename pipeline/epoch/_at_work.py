"""Decides which iterators of a loader prepare batches ahead: a few, however many there are."""

import itertools
import os
import weakref
from collections import OrderedDict
from typing import Protocol

# A loop and a second one at the same time, such as in zip(loader, loader).
_MOST = 2


class Works(Protocol):
    """The interface of an iterator."""

    def rest(self) -> None:
        """Release threads and memory until the next batch is requested."""

    def close(self) -> None:
        """Deliver no more batches."""


class AtWork:
    """The iterators of a loader. The two that were used last prepare batches ahead, all others pause."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._iterators: dict[int, weakref.ref[Works]] = {}
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._working: OrderedDict[int, None] = OrderedDict()

    def add(self, iterator: Works) -> int:
        """Register an iterator and return its number. It pauses until :meth:`work`."""
        number = next(self._numbers)
        self._iterators = {known: other for known, other in self._iterators.items() if other() is not None}
        self._iterators[number] = weakref.ref(iterator)
        return number

    def work(self, number: int) -> None:
        """Let an iterator work, and pause another one if there are too many."""
        if self._process != os.getpid():  # in a forked process, in which none works
            self._begin()
        self._working[number] = None
        self._working.move_to_end(number)
        while len(self._working) > _MOST:
            oldest, _ = self._working.popitem(last=False)
            if (iterator := self._get(oldest)) is not None:
                iterator.rest()

    def leave(self, number: int) -> bool:
        """Record that an iterator stops working, and return whether no other one works."""
        self._working.pop(number, None)
        return all(self._get(other) is None for other in self._working)

    def close(self) -> None:
        """Close them all."""
        self._working.clear()  # all at once: they need not wait for each other
        for number in self._iterators:
            if (iterator := self._get(number)) is not None:
                iterator.close()

    def _get(self, number: int) -> Works | None:
        known = self._iterators.get(number)
        return None if known is None else known()
