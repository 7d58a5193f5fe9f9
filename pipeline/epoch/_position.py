"""Where a loader is in its epochs, with any number of iterators under way."""

import weakref
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochPlace:
    """How far an iterator of a loader has come.

    Attributes:
        epoch: The epoch's number.
        position: How many samples of the epoch all ranks together have delivered.
        iterator: The iterator's number among those of the epoch.
    """

    epoch: int = 0
    position: int = 0
    iterator: int = 0

    @property
    def order(self) -> int:
        """What order, stand-ins and views are drawn by: the epoch for its first iterator, another number for each other."""
        return self.epoch + (self.iterator << 32)


class Position:
    """The place of a loader, which its iterators move.

    The place follows one iterator. Where several are under way, it moves to another one with that one's second batch
    in a row. So a loop keeps its place while single batches are drawn beside it (``next(iter(loader))``), and an iterator
    that is held but not used any more does not hold the place back. An epoch is over when any of its iterators has
    delivered the last batch.

    Args:
        place: Where the loader is.
        resume: Whether iterators go on from there until one has delivered a batch; else they begin the epoch.
    """

    def __init__(self, place: EpochPlace, *, resume: bool = False) -> None:
        self._last: weakref.ref[object] | None = None
        self._move_to(place, resume=resume)

    def _move_to(self, place: EpochPlace, *, resume: bool) -> None:
        self.place = place
        self._resume = resume
        self._first = self._next = place.iterator
        self._waiting: list[tuple[weakref.ref[object], int]] = []
        self._followed: weakref.ref[object] | None = None

    def begin(self, iterator: object, *, one_order: bool, first: int = 0) -> EpochPlace:
        """Return where a new iterator begins.

        Args:
            iterator: The iterator. Its number is used up when it delivers a batch.
            one_order: Whether all iterators of an epoch visit it in one order, as on several ranks, of which one may
                draw a batch that the others do not.
            first: The least number that the iterator may have if it may have one of its own.
        """
        if self._resume:
            return self.place
        self._waiting = [waiting for waiting in self._waiting if waiting[0]() is not None]
        unused = max([self._next, first, *(number + 1 for _, number in self._waiting)])
        place = EpochPlace(self.place.epoch, 0, self._first if one_order else unused)
        self._waiting.append((weakref.ref(iterator), place.iterator))
        return place

    def delivered(self, iterator: object, place: EpochPlace) -> None:
        """Note that an iterator delivered a batch, and is now at a place."""
        if place.epoch == self.place.epoch:
            self._waiting = [waiting for waiting in self._waiting if waiting[0]() is not iterator]
            self._next = max(self._next, place.iterator + 1)
            followed = self._followed and self._followed()
            if followed in (None, iterator) or (self._last and self._last()) is iterator:
                self.place, self._resume, self._followed = place, False, weakref.ref(iterator)
        self._last = weakref.ref(iterator)

    def finished(self, epoch: int) -> None:
        """Note that an iterator of an epoch delivered the last batch, or that there is none to deliver."""
        if epoch == self.place.epoch:
            self._move_to(EpochPlace(epoch + 1), resume=False)

    def left(self, iterator: object) -> None:
        """Note that an iterator will not deliver any more."""
        if self._followed and self._followed() is iterator:
            self._followed = None

    @property
    def resumes(self) -> bool:
        """Whether the next iterator goes on from a place that was loaded."""
        return self._resume

    @property
    def is_left(self) -> bool:
        """Whether the epoch was begun by an iterator that does not go on with it."""
        return (
            self.place.position > 0
            and not self._resume
            and (self._followed is None or self._followed() is None)
        )

    def begin_again(self) -> None:
        """Let the next iterator be the first of the epoch, unless it is to go on in it."""
        if not self._resume:
            self._first = self._next = 0
