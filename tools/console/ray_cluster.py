"""Work spread over a Ray cluster: a task for each item, begun anew on another node when its own is lost."""

import logging
import sys
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

# How often a task is begun anew whose node or worker went away.
_RETRIES = 5


class ClusterError(OSError):
    """The cluster cannot be reached, or lost a task's worker too often."""


class RayCluster:
    """A cluster. A context manager, for a process of our own only.

    Its nodes must see files under the same names, and have the same version of foveal.

    Args:
        address: ``"local"`` for this machine alone, else as ``ray.init`` takes it: ``"auto"``, ``"host:6379"``,
            ``"ray://host:10001"``.

    Attributes:
        has_gpus: Whether any of its nodes has a GPU.

    Raises:
        ClusterError: It cannot be reached.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> Self:
        try:
            ray.init(
                address=self._address,
                log_to_driver=False,
                include_dashboard=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterError(f"ray cluster {self._address!r} cannot be reached: {error}") from error
        resources: Callable[[], dict[str, float]] = ray.cluster_resources
        sys.stdout = sys.stderr  # for good: Ray's threads print of lost nodes to the end of the process
        self.has_gpus = bool(resources().get("GPU"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ray.shutdown()

    def each(
        self,
        task: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
        *,
        num_cpus: int = 1,
        num_gpus: int = 0,
    ) -> Generator[tuple[Item, Result]]:
        """Call ``task(shared, item)`` for each item on whichever node is free; yield item and result as they are done.

        Args:
            task: A function of a module.
            shared: What all of them need; it is sent to each node once.
            items: What each is about.
            num_cpus: Processors that each is given.
            num_gpus: Likewise.

        Raises:
            Exception: As one task raised it; the others are given up.
            ClusterError: A task was begun anew too often.
        """
        remote: Any = ray.remote(task)
        remote = remote.options(
            num_cpus=num_cpus, num_gpus=num_gpus, max_retries=_RETRIES, retry_exceptions=False
        )
        common = ray.put(shared)
        under_way = {remote.remote(common, item): item for item in items}
        try:
            while under_way:
                [done], _ = ray.wait(list(under_way))
                item = under_way.pop(done)
                yield item, _result(done, item)
        finally:
            for left in under_way:
                ray.cancel(left)


def _result(done: Any, item: object) -> Any:
    try:
        return ray.get(done)
    except RayTaskError as error:
        raise error.cause from error  # which holds the traceback of the node
    except RayError as error:
        words = str(error).splitlines()[0]
        raise ClusterError(f"{item} was begun {_RETRIES + 1} times and never ended: {words}") from error
