"""One pass over an epoch: the iterator that a training script uses."""

import contextlib
import ctypes
import functools
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from foveal._outside import outside
from foveal.pipeline.epoch._at_work import AtWork
from foveal.pipeline.epoch._epoch import Chain
from foveal.pipeline.epoch._join import Batch
from foveal.pipeline.epoch._plan import BatchPlan
from foveal.pipeline.epoch._position import EpochPlace, Position
from foveal.pipeline.epoch._ranks import Ranks
from foveal.pipeline.epoch.stages import Stage
from foveal.pipeline.faults import BadSample, verify_command
from foveal.pipeline.fields import Fields
from foveal.pipeline.flow import Background, refuse_fork_of
from foveal.shards import ShardWarning

_CLOSED = (
    "loader must stay open until the loops over it are over, got close() from another thread – the epoch is not complete, "
    "and load_state_dict(state_dict()) continues it."
)


class EpochIterator(Iterator[Batch]):
    """The batches of an epoch, or the rest of them. Work on them begins at once, in the background.

    If the zoom begins to train meanwhile, what was prepared ahead is dropped and made again, with the graph.

    The epoch is over when the last batch is delivered, not when a further one is requested. Several threads may share an
    iterator: each gets other batches. If another position is chosen for the loader before the first batch is requested, the
    iterator begins there: trainers make it, and choose the epoch afterwards.

    Args:
        chain: Makes the batches.
        begin: Returns which samples belong to this rank's batches, and the position of the loader, which delivered batches move.
        ranks: Says which ranks there are now.
        at_work: The iterators of the loader.

    Attributes:
        plan: The plan of these batches.
    """

    def __init__(
        self,
        chain: Chain,
        begin: Callable[[], tuple[BatchPlan, Position]],
        ranks: Ranks,
        at_work: AtWork,
    ) -> None:
        self._chain = chain
        self._begin = begin
        self._ranks: Ranks | None = ranks  # None after a change has been reported
        self._at_work = at_work
        self._take_place()
        self._delivered = 0
        self._closed = False
        self._closed_by: int | None = None  # the thread that closed it, if it was closed from outside
        self._process = os.getpid()
        self._one_at_a_time = threading.Lock()
        # The stage that makes the batches. Here is none while it pauses, and while a thread takes a batch from it: nobody
        # else can end it meanwhile.
        self._stage: deque[Stage[Batch]] = deque()
        self._taken_from: Stage[Batch] | None = None
        self._carries_graph = False  # whether the stage's batches do
        self._number = at_work.add(self)
        self._stage.append(self._work())

    def _take_place(self) -> None:
        """Begin at the loader's position."""
        plan, self._position = self._begin()
        self._begins_at = self._position.begin(self, one_order=plan.world_size > 1)
        self.plan = replace(plan, start=self._begins_at.position)
        self._bad = self._chain.bad.begin_epoch(plan.own_samples, self._chain.shards.urls)

    def __next__(self) -> Batch:
        refuse_fork_of(self._process)  # where the lock may be held for ever
        with self._one_at_a_time:
            return self._next()

    def _next(self) -> Batch:
        if self._closed:
            if self._closed_by not in {None, threading.get_ident()}:
                raise RuntimeError(_CLOSED)
            raise StopIteration
        try:
            if self._position.is_replaced and not self._delivered:
                self.rest()
                self._take_place()
            if self.is_over:  # from the beginning
                self._end()
                self._position.finished(self._begins_at.epoch)
                raise StopIteration  # noqa: TRY301 - an iterator's way
            self._look_around()
            with self._chain.stats.timed("wait"):
                batch = self._take()
            self._delivered += 1
            if self.is_over:
                self._end()
        except BaseException:  # also after Ctrl-C: a batch may be lost, and no later one may be delivered
            self._stop()
            raise
        self._note_delivery()
        return batch

    def _look_around(self) -> None:
        """Warn if this rank's samples or zoom may differ from those that it shares with the other ranks."""
        self._chain.drift.look(self.plan, self._place, self._delivered)
        if self._ranks is not None and self._ranks.warn_of_change(self.plan.world_size):
            self._ranks = None

    @property
    def is_over(self) -> bool:
        """Whether the last batch has been delivered."""
        return self._delivered == len(self.plan)

    @property
    def _place(self) -> EpochPlace:
        return replace(self._begins_at, position=self.plan.place_after(self._delivered))

    def _take(self) -> Batch:
        """Return the next batch.

        Raises:
            RuntimeError: The loader was closed meanwhile: it is not the epoch's end.
        """
        stage = self._taken_from = self._work()
        try:
            batch = next(stage, None)
        finally:
            self._taken_from = None
            self._stage.append(stage)
        if batch is None or self._closed:
            raise RuntimeError(_CLOSED)
        return batch

    def _work(self) -> Stage[Batch]:
        """Return the stage of the next batches, now the calling thread's. If this iterator paused, a new one begins at its position."""
        self._at_work.work(self._number)
        if (stage := self._pick_up()) is not None:
            if self._carries_graph or not self._chain.can_train():
                return stage
            stage.close()
            self._at_work.work(self._number)  # which closing left
        self._carries_graph = self._chain.can_train()
        rest = replace(self.plan, start=self._place.position)
        leave = functools.partial(self._at_work.leave, self._number)
        return self._chain.batches(self._begins_at.order, rest, self._bad, leave)

    def _note_delivery(self) -> None:
        self._position.delivered(self, self._place)
        if self.is_over:
            self._position.finished(self._begins_at.epoch)
        self._chain.stats.batches += 1

    def rest(self) -> None:
        """Release threads and memory until the next batch is requested, and leave; do nothing while one is being taken."""
        if (stage := self._pick_up()) is not None:
            self._at_work.leave(self._number)
            stage.close()
            _give_memory_back()

    def _pick_up(self) -> Stage[Batch] | None:
        with contextlib.suppress(IndexError):
            return self._stage.pop()
        return None

    def close(self) -> None:
        """End early: the epoch is not over. If another thread takes a batch or will ask for one, it gets an error."""
        if not self._closed:
            self._closed_by = threading.get_ident()
        self._stop()
        if isinstance(waits := self._taken_from, Background):
            waits.close()

    def _stop(self) -> None:
        self._closed = True
        self._position.left(self)
        self.rest()

    def _end(self) -> None:
        self._stop()
        self._chain.fields.absences.end_epoch()
        _warn_of(self._bad.all(), self._chain.fields)


def _warn_of(bad: list[BadSample], fields: Fields) -> None:
    if bad:
        command = verify_command(bad, fields.asked)
        found = "" if command is None else f", and `{command}` finds them"
        warnings.warn(
            f"{len(bad)} bad sample(s) in this epoch, the first: {bad[0]}; the loader's bad_samples has all{found}",
            ShardWarning,
            stacklevel=outside(),
        )


def _give_memory_back() -> None:
    """Return to the system the memory that the decoders freed and C's allocator kept: a hundred megabytes and more."""
    with contextlib.suppress(AttributeError):  # exists in glibc
        ctypes.CDLL(None).malloc_trim(0)
