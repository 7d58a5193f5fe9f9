"""Zooming spread over a Ray cluster: a task for each shard, begun anew on another node when its own is lost."""

import logging
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from foveal.shards.store import Store
from foveal.tools.console.quiet_codecs import quiet_codecs
from foveal.tools.offline.shard import Job, zoom_here
from foveal.tools.offline.shard_files import ShardStats

# How often a shard is begun anew whose node or worker went away.
_RETRIES = 5


class ClusterError(OSError):
    """The cluster cannot be reached, or lost a shard's worker too often."""


class RayCluster:
    """A cluster that zooms shards, as an engine of ``zoom_shards``. A context manager, for a process of our own only.

    Its nodes must see the shards and the folder under the same names, and have the same version of foveal.

    Args:
        address: ``"local"`` for this machine alone, else as ``ray.init`` takes it: ``"auto"``, ``"host:6379"``,
            ``"ray://host:10001"``.

    Attributes:
        device: Where its nodes zoom: ``"cuda"`` where it has GPUs, one for each shard under way, else ``"cpu"``.

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
        self.device = "cuda" if resources().get("GPU") else "cpu"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ray.shutdown()

    def zoom(
        self, job: Job, urls: Sequence[str], store: Store, advance: Callable[[int], object]
    ) -> Generator[ShardStats]:
        """Zoom shards, each on one node, whichever is free; yield their stats in the order in which they are done.

        Args:
            job: What to do. ``num_threads`` is how many processors a shard is given, 1 if it is None.
            urls: Shards.
            store: Where to.
            advance: Told of so many samples more that are done.

        Raises:
            ShardError, StoreError, ValueError: As one shard raised it; the others are given up.
            ClusterError: A shard was begun anew too often.
        """
        num_threads = job.num_threads or 1
        task: Any = ray.remote(_zoom_one)
        task = task.options(
            num_cpus=num_threads,
            num_gpus=int(self.device == "cuda"),
            max_retries=_RETRIES,
            retry_exceptions=False,
        )
        shared = ray.put((replace(job, num_threads=num_threads), store))
        under_way = {task.remote(shared, url): url for url in urls}
        try:
            while under_way:
                [done], _ = ray.wait(list(under_way))
                stats = _result(done, under_way.pop(done))
                advance(stats.samples)
                yield stats
        finally:
            for left in under_way:
                ray.cancel(left)


def _zoom_one(shared: tuple[Job, Store], url: str) -> ShardStats:
    """Zoom a shard, in a worker on some node."""
    job, store = shared
    with quiet_codecs():
        [stats] = zoom_here(job, [url], store, lambda _: None)
    return stats


def _result(done: Any, url: str) -> ShardStats:
    try:
        stats: ShardStats = ray.get(done)
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        words = str(error).splitlines()[0]
        raise ClusterError(f"{url} was begun {_RETRIES + 1} times and never ended: {words}") from error
    return stats
