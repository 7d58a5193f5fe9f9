"""Tells Accelerate where in an epoch a loader is.

Accelerate steps the optimizer with an epoch's last batch, however many batches have been accumulated, and
``gather_for_metrics`` removes the samples that only fill up the last batch. It reads both from the loader on top of the
stack in ``accelerate.state.GradientState``. ``accelerator.prepare`` puts a ``DataLoader`` there, but no other loader, so
that without this module gradients of an epoch's last batches would reach the next epoch.
"""

import sys
import weakref
from collections.abc import Iterator
from typing import Any

from foveal.pipeline.epoch import Batch, EpochIterator


def reported_to_accelerate(batches: EpochIterator) -> Iterator[Batch]:
    """Return an iterator over the same batches that is registered with Accelerate, if Accelerate is used in this process."""
    state = _gradient_state()
    return batches if state is None else _Reported(batches, state)


def _gradient_state() -> Any | None:
    """Return Accelerate's state if an ``Accelerator`` has been made."""
    kind: Any = getattr(sys.modules.get("accelerate.state"), "GradientState", None)
    return kind() if getattr(kind, "_shared_state", None) else None


class _Reported(Iterator[Batch]):
    """An iterator that is registered with Accelerate from its first batch until its end.

    It is not registered while a loader that went to ``prepare`` requests its batches, as one around a dataset does. That loader is
    registered itself, and requests each batch ahead: here the last batch has been delivered before it is trained on.

    Attributes:
        end_of_dataloader: Whether the last batch has been delivered.
    """

    def __init__(self, batches: EpochIterator, state: Any) -> None:
        self._batches = batches
        self._state = state
        weakref.finalize(self, _forget, state).atexit = False
        self.end_of_dataloader = False

    @property
    def remainder(self) -> int:
        """How many of the first samples of the last batch of all ranks together count; 0 if all do."""
        plan = self._batches.plan
        return plan.samples % (plan.batch_size * plan.world_size) if plan.last_batch == "pad" else 0

    def __next__(self) -> Batch:
        self._enter()
        try:
            batch = next(self._batches)
        except BaseException:
            self._leave()
            raise
        self.end_of_dataloader = self._batches.is_over
        return batch

    def _enter(self) -> None:
        """Move this iterator to the top of the stack, unless a loader of the stack requests the batch."""
        others = _alive(self._state, other_than=self)
        if _is_requested_by(others):
            return
        self._state.dataloader_references = [None, *others, self]

    def _leave(self) -> None:
        self._state.dataloader_references = [None, *_alive(self._state, other_than=self)]


def _is_requested_by(loaders: list[Any]) -> bool:
    """Return whether the iteration of one of these loaders is among the callers.

    A dataset may hide a loader anywhere, and a loop over a prepared loader may have another loader in its body, so neither
    the loaders' attributes nor the stack tells this.
    """
    iterations = [
        getattr(type(one).__iter__, "__code__", None) for one in loaders if not isinstance(one, _Reported)
    ]
    frame = sys._getframe() if iterations else None  # noqa: SLF001 - as for warnings
    while frame is not None and frame.f_code not in iterations:
        frame = frame.f_back
    return frame is not None


def _alive(state: Any, other_than: object = None) -> list[Any]:
    """Return the loaders on the stack, which holds weak references, with ``None`` at its bottom."""
    return [one for one in state.dataloader_references if one is not None and one is not other_than]


def _forget(state: Any) -> None:
    """Remove an iterator that no longer exists from the stack, as when a loop was left early."""
    state.dataloader_references = [None, *_alive(state)]
