"""A model of a loader with any number of iterators, in plain Python: no threads, no images, no files."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(eq=False)
class ModelIterator:
    """One pass: its position, and the ranks with which it began."""

    life: object
    epoch: int
    number: int
    position: int
    ranks: tuple[int, int]
    begun: bool = False  # whether it has delivered a batch
    closed: bool = False
    told_of_ranks: bool = False


@dataclass
class ModelLoader:
    """The samples that each iterator must deliver, the loader's place, and the expected warnings.

    Attributes:
        samples: Samples of an epoch.
        batch_size: Of one rank.
        last_batch: As the loader has it.
        shuffle: Whether each epoch has another order.
        order: The sample at a position of an epoch, given the epoch and the iterator's number.
        ranks: Rank and number of ranks, now.
    """

    samples: int
    batch_size: int
    last_batch: str
    shuffle: bool
    order: Callable[[int, int, int], int]
    ranks: tuple[int, int] = (0, 1)
    warnings: int = 0
    followed: ModelIterator | None = None
    last: ModelIterator | None = None
    waiting: list[ModelIterator] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.go_to(0, 0, 0)

    def go_to(self, epoch: int, position: int, number: int, *, resume: bool = False) -> None:
        """Move the loader to a place; iterators that have delivered a batch do not move it any more."""
        self.life, self.last = object(), None
        self._move_to(epoch, position, number, resume=resume)

    def _move_to(self, epoch: int, position: int, number: int, *, resume: bool = False) -> None:
        self.epoch, self.position, self.number, self.resume = epoch, position, number, resume
        self.first = self.next = number
        self.followed, self.waiting = None, []

    def batch(self, position: int, ranks: tuple[int, int]) -> tuple[list[int], int] | None:
        """Return this rank's positions in the batch that begins at a position, and the position after it."""
        (rank, world_size), left = ranks, self.samples - position
        whole = self.batch_size * world_size
        if left <= 0 or (left < whole and self.last_batch == "drop"):
            return None
        size = whole if self.last_batch == "pad" else min(left, whole)
        parts = np.array_split(np.arange(position, position + size), world_size)
        return parts[rank].tolist(), min(position + whole, self.samples)

    def __len__(self) -> int:
        position, batches = 0, 0
        while batch := self.batch(position, self.ranks):
            position, batches = batch[1], batches + 1
        return batches

    def place(self) -> tuple[int, int, int]:
        """Return epoch, position and iterator number of the state."""
        if self.position and self.batch(self.position, self.ranks) is None:
            self._move_to(self.epoch + 1, 0, 0)
        return self.epoch, self.position, self.number

    def set_epoch(self, epoch: int) -> None:
        """Go to the first order of an epoch, unless a place in this epoch was loaded."""
        self.place()
        if epoch != self.epoch:
            self.go_to(epoch, 0, 0)
        if not self.resume:
            self.first = self.next = 0
            self.waiting = []

    def begin(self) -> ModelIterator:
        """Return a new iterator, and whether a warning is due because ranks repeat an order that they had begun."""
        begun = ModelIterator(self.life, self.epoch, self.number, self.position, self.ranks)
        self._begin(begun)
        return begun

    def _begin(self, it: ModelIterator) -> None:
        """Put an iterator where the loader is."""
        self.place()
        left = self.position > 0 and not self.resume and self.followed is None
        several = self.ranks[1] > 1
        self.warnings += several and self.shuffle and left and self.position > self.batch(0, self.ranks)[1]
        it.life, it.epoch, it.ranks = self.life, self.epoch, self.ranks
        if self.resume:
            it.number, it.position = self.number, self.position
            return
        unused = max([self.next, *(each.number + 1 for each in self.waiting)])
        it.number, it.position = self.first if several else unused, 0
        self.waiting.append(it)

    def take(self, of: ModelIterator) -> list[int] | None:
        """Return the samples of an iterator's next batch (None at its end), and whether a warning about more ranks is due."""
        if of.closed:
            return None
        if not of.begun and of.life is not self.life:  # the script has chosen another place meanwhile
            self._begin(of)
        batch = self.batch(of.position, of.ranks)
        moves = of.life is self.life and of.epoch == self.epoch
        if batch is None:  # there is none in this epoch at all
            self._close(of)
            if moves:
                self._move_to(self.epoch + 1, 0, 0)
            return None
        if self.ranks[1] > of.ranks[1] and not of.told_of_ranks:
            of.told_of_ranks = True
            self.warnings += 1
        of.begun = True
        positions, of.position = batch
        if over := self.batch(of.position, of.ranks) is None:
            self._close(of)
        if moves:
            self._delivered(of, over=over)
        if of.life is self.life:
            self.last = of
        return [self.order(of.epoch, of.number, position % self.samples) for position in positions]

    def _delivered(self, of: ModelIterator, *, over: bool) -> None:
        if over:
            self._move_to(self.epoch + 1, 0, 0)
            return
        self.waiting = [each for each in self.waiting if each is not of]
        self.next = max(self.next, of.number + 1)
        if self.followed in (None, of) or self.last is of:
            self.position, self.number, self.resume, self.followed = of.position, of.number, False, of

    def _close(self, of: ModelIterator) -> None:
        of.closed = True
        if self.followed is of:
            self.followed = None

    def forget(self, of: ModelIterator) -> None:
        """Note that nothing refers to the iterator any more."""
        self._close(of)
        self.waiting = [each for each in self.waiting if each is not of]
        self.last = None if self.last is of else self.last
