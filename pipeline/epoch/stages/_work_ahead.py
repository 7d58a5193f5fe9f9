"""Begins the work on several micro-batches, and finishes them in their order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

from foveal.pipeline.decoding import Decoder
from foveal.pipeline.epoch._budget import Budget, share_of
from foveal.pipeline.epoch._micro_batch import MicroBatch
from foveal.pipeline.epoch.stages._stage import Stage

T = TypeVar("T")
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class InFlight(Generic[F]):
    """A micro-batch whose work has begun."""

    read: MicroBatch
    share: int
    begun: F


def work_ahead(  # noqa: PLR0917 - what is done to each, in this order
    micro_batches: Stage[MicroBatch],
    decoder: Decoder,
    begin: Callable[[MicroBatch, int], F],
    finish: Callable[[InFlight[F]], T],
    drain: Callable[[F], object],
    waits: Callable[[F], bool],
    *,
    budget: Budget,
    most: int,
) -> Generator[T]:
    """Begin micro-batches while the first of them is unfinished, as far as the budget allows; finish them in their order.

    ``waits`` returns whether the share of a micro-batch is only returned after it is finished here.
    """
    under_way: deque[InFlight[F]] = deque()
    with decoder, closing(micro_batches):
        fault: list[Exception] = []
        try:
            for read in _until_fault(micro_batches, fault):
                share = share_of(read.images)
                while any(waits(each.begun) for each in under_way) and not budget.has_room(share):
                    yield finish(under_way.popleft())
                budget.take(share)
                under_way.append(InFlight(read, share, begin(read, share)))
                if len(under_way) > most:
                    yield finish(under_way.popleft())
            while under_way:
                yield finish(under_way.popleft())
            if fault:
                raise fault[0]
        finally:
            for left in under_way:
                drain(left.begun)


def _until_fault(items: Iterable[T], fault: list[Exception]) -> Generator[T]:
    """Yield the items before an exception, and store the exception, so that everything that was read before it is delivered first."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001 - raised by the caller, in its place
        fault.append(error)
