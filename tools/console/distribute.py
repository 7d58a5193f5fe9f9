"""Work on many shards, or other things: one after the other here, or distributed over a Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TypeVar

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Distribute(Protocol):
    """Calls ``task(shared, item)`` for each item, and yields item and result in the order in which they are done.

    A task is a function of a module: it may run in another process, on another machine.
    """

    def __call__(
        self, task: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Raise what a task raised; the others are given up."""


def in_turn(
    task: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
) -> Iterator[tuple[Item, Result]]:
    """Do one after the other in this process."""
    return ((item, task(shared, item)) for item in items)


def distributed(ray: str | None) -> AbstractContextManager[Distribute]:
    """Return what distributes work over the cluster that ``--ray`` names, or does it here if that is None."""
    if ray is None:
        return nullcontext(in_turn)
    return _on_cluster(ray)


@contextmanager
def _on_cluster(address: str) -> Iterator[Distribute]:
    from foveal.tools.console.ray_cluster import RayCluster  # noqa: PLC0415 - an extra

    with RayCluster(address) as cluster:
        yield cluster.each
