"""One pass over an epoch: the iterator that a training script uses."""

import contextlib
import ctypes
import functools
import warnings
from collections.abc import Iterator
from dataclasses import replace

from foveal._outside import outside
from foveal.pipeline.epoch._at_work import AtWork
from foveal.pipeline.epoch._epoch import Chain
from foveal.pipeline.epoch._join import Batch
from foveal.pipeline.epoch._plan import BatchPlan
from foveal.pipeline.epoch._position import EpochPlace, Position
from foveal.pipeline.epoch._ranks import Ranks
from foveal.pipeline.epoch._stages import Stage
from foveal.pipeline.faults import BadSample
from foveal.shards import ShardWarning


class EpochIterator(Iterator[Batch]):
    """The batches of an epoch, or the rest of them. Work on them begins at once, in the background.

    The epoch is over when the last batch is delivered, not when a further one is requested.

    Args:
        chain: Makes the batches.
        plan: Says which samples belong to this rank's batches.
        ranks: Says which ranks there are now.
        position: The position of the loader. Delivered batches move it.
        at_work: The iterators of the loader.
        first: The least number that this iterator may have in its epoch, if all do not share one order.

    Attributes:
        plan: The plan of these batches.
    """

    def __init__(
        self,
        chain: Chain,
        plan: BatchPlan,
        ranks: Ranks,
        position: Position,
        at_work: AtWork,
        *,
        first: int = 0,
    ) -> None:
        self._chain = chain
        self._ranks: Ranks | None = ranks  # None after a change has been reported
        self._position = position
        self._at_work = at_work
        self._begins_at = position.begin(self, one_order=plan.world_size > 1, first=first)
        self.plan = replace(plan, start=self._begins_at.position)
        self._bad = chain.bad.begin_epoch(replace(plan, start=0).own_samples, chain.shards.urls)
        self._delivered = 0
        self._closed = False
        self._number = at_work.add(self)
        self._batches: Stage[Batch] | None = None
        self._work()

    def __next__(self) -> Batch:
        if self._closed:
            raise StopIteration
        try:
            if self._is_over:  # from the beginning
                self._end()
                self._position.finished(self._begins_at.epoch)
                raise StopIteration  # noqa: TRY301 - an iterator's way
            self._look_around()
            with self._chain.stats.timed("wait"):
                batch = next(self._work())
            self._delivered += 1
            if self._is_over:
                self._end()
        except BaseException:  # also after Ctrl-C: a batch may be lost, and no later one may be delivered
            self.close()
            raise
        self._note_delivery()
        return batch

    def _look_around(self) -> None:
        """Warn if this rank's samples or zoom may differ from those that it shares with the other ranks."""
        self._chain.drift.look(self.plan, self._place, self._delivered)
        if self._ranks is not None and self._ranks.warn_of_change(self.plan.world_size):
            self._ranks = None

    @property
    def _is_over(self) -> bool:
        return self._delivered == len(self.plan)

    @property
    def _place(self) -> EpochPlace:
        return replace(self._begins_at, position=self.plan.place_after(self._delivered))

    def _work(self) -> Stage[Batch]:
        """Return the generator of the next batches. If this iterator paused, a new one begins at its position."""
        self._at_work.work(self._number)
        if self._batches is None:
            rest = replace(self.plan, start=self._place.position)
            leave = functools.partial(self._at_work.leave, self._number)
            self._batches = self._chain.batches(self._begins_at.order, rest, self._bad, leave)
        return self._batches

    def _note_delivery(self) -> None:
        self._position.delivered(self, self._place)
        if self._is_over:
            self._position.finished(self._begins_at.epoch)
        self._chain.stats.batches += 1

    def rest(self) -> None:
        """Release threads and memory until the next batch is requested."""
        batches, self._batches = self._batches, None
        if batches is not None:
            self._at_work.leave(self._number)
            batches.close()
            _give_memory_back()

    def close(self) -> None:
        """End early: the epoch is not over."""
        self._closed = True
        self._position.left(self)
        self.rest()

    def _end(self) -> None:
        self.close()
        self._chain.fields.absences.end_epoch()
        _warn_of(self._bad.all())


def _warn_of(bad: list[BadSample]) -> None:
    if bad:
        warnings.warn(
            f"{len(bad)} bad sample(s) in this epoch, the first: {bad[0]}; all are in the loader's bad_samples",
            ShardWarning,
            stacklevel=outside(),
        )


def _give_memory_back() -> None:
    """Return to the system the memory that the decoders freed and C's allocator kept: a hundred megabytes and more."""
    with contextlib.suppress(AttributeError):  # exists in glibc
        ctypes.CDLL(None).malloc_trim(0)
