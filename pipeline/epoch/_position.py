"""The position of a loader in its epochs, with any number of running iterators."""

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
        """The number from which order, substitutes and views are drawn: the epoch's number for its first iterator, and a different number for each later one."""
        return self.epoch + (self.iterator << 32)


class Position:
    """The position of a loader, which its iterators move.

    The position follows one iterator. If several are running, it moves to another one when that one delivers its second
    batch in a row. So single batches from other iterators (``next(iter(loader))``) do not change the position of a loop,
    and an iterator that exists but is no longer used does not hold the position back. An epoch is over when any of its
    iterators has delivered the last batch.

    Args:
        place: The initial position.
        resume: Whether iterators continue from there until one has delivered a batch; otherwise they begin the epoch.

    Attributes:
        is_replaced: Whether another position has been chosen for the loader since.
    """

    def __init__(self, place: EpochPlace, *, resume: bool = False) -> None:
        self.is_replaced = False
        self._last: weakref.ref[object] | None = None
        self._move_to(place, resume=resume)

    def _move_to(self, place: EpochPlace, *, resume: bool) -> None:
        self.place = place
        self._resume = resume
        self._first = self._next = place.iterator
        self._waiting: list[tuple[weakref.ref[object], int]] = []
        self._followed: weakref.ref[object] | None = None

    def begin(self, iterator: object, *, one_order: bool) -> EpochPlace:
        """Return the position at which a new iterator begins.

        Args:
            iterator: The iterator. Its number is used up when it delivers a batch.
            one_order: Whether all iterators of an epoch have the same order, as on several ranks, where one rank may draw
                a batch that the others do not.
        """
        if self._resume:
            return self.place
        place = EpochPlace(self.place.epoch, 0, self._first if one_order else self._unused())
        self._waiting.append((weakref.ref(iterator), place.iterator))
        return place

    def _unused(self) -> int:
        """Return the number of the next iterator, if it begins the epoch."""
        self._waiting = [waiting for waiting in self._waiting if waiting[0]() is not None]
        return max([self._next, *(number + 1 for _, number in self._waiting)])

    def of_pass(self, number: int) -> "Position":
        """Return the position for a worker's pass over a ``DataLoader``, this one being that of the loader.

        Args:
            number: How many passes have begun here before. After a loaded position the first pass continues from it, and the
                others begin the epoch, each in another order.
        """
        if self._resume and number == 0:
            return Position(self.place, resume=True)
        begins = Position(EpochPlace(self.place.epoch))
        begins._next = number + (self.place.iterator if self._resume else self._unused())
        return begins

    def delivered(self, iterator: object, place: EpochPlace) -> None:
        """Record that an iterator has delivered a batch, and its new position."""
        if place.epoch == self.place.epoch:
            self._waiting = [waiting for waiting in self._waiting if waiting[0]() is not iterator]
            self._next = max(self._next, place.iterator + 1)
            followed = self._followed and self._followed()
            if followed in (None, iterator) or (self._last and self._last()) is iterator:
                self.place, self._resume, self._followed = place, False, weakref.ref(iterator)
        self._last = weakref.ref(iterator)

    def finished(self, epoch: int) -> None:
        """Record that an iterator of an epoch has delivered the last batch, or that there was none to deliver."""
        if epoch == self.place.epoch:
            self._move_to(EpochPlace(epoch + 1), resume=False)

    def left(self, iterator: object) -> None:
        """Record that an iterator will deliver no more batches."""
        if self._followed and self._followed() is iterator:
            self._followed = None

    @property
    def resumes(self) -> bool:
        """Whether the next iterator continues from a loaded position."""
        return self._resume

    @property
    def first_place(self) -> EpochPlace:
        """Where a pass in the epoch's first order begins, or at a loaded position the one that continues it."""
        return self.place if self._resume else EpochPlace(self.place.epoch)

    @property
    def is_left(self) -> bool:
        """Whether the iterator that began the epoch has stopped early."""
        return (
            self.place.position > 0
            and not self._resume
            and (self._followed is None or self._followed() is None)
        )

    def begin_again(self) -> None:
        """Make the next iterator the first of the epoch, unless it is to continue it."""
        if not self._resume:
            self._first = self._next = 0
            self._waiting.clear()
