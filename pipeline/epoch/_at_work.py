"""Which iterators of a loader work ahead: a few, however many there are."""

import itertools
import os
import weakref
from collections import OrderedDict
from typing import Protocol

# A loop, and another one beside it, such as the second of zip(loader, loader).
_MOST = 2


class Works(Protocol):
    """What an iterator must be able to do."""

    def rest(self) -> None:
        """Give up threads and memory until the next batch is asked for."""

    def close(self) -> None:
        """Deliver no more batches."""


class AtWork:
    """The iterators of a loader. The two that were asked for a batch last work ahead, all others rest."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._iterators: dict[int, weakref.ref[Works]] = {}
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._working: OrderedDict[int, None] = OrderedDict()

    def add(self, iterator: Works) -> int:
        """Return the number by which an iterator is known here. It rests until :meth:`work`."""
        number = next(self._numbers)
        self._iterators = {known: other for known, other in self._iterators.items() if other() is not None}
        self._iterators[number] = weakref.ref(iterator)
        return number

    def work(self, number: int) -> None:
        """Let an iterator work, and have another one rest if that makes too many."""
        if self._process != os.getpid():  # in a fork, in which none works
            self._begin()
        self._working[number] = None
        self._working.move_to_end(number)
        while len(self._working) > _MOST:
            oldest, _ = self._working.popitem(last=False)
            if (iterator := self._get(oldest)) is not None:
                iterator.rest()

    def leave(self, number: int) -> bool:
        """Note that an iterator stops working, and return whether no other one works."""
        self._working.pop(number, None)
        return all(self._get(other) is None for other in self._working)

    def close(self) -> None:
        """Close them all."""
        self._working.clear()  # at once: none of them has to be considerate of the others
        for number in self._iterators:
            if (iterator := self._get(number)) is not None:
                iterator.close()

    def _get(self, number: int) -> Works | None:
        known = self._iterators.get(number)
        return None if known is None else known()
