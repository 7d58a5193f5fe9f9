"""Zooming spread over a Ray cluster: a task for each shard."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from foveal.shards.store import Store
from foveal.tools.console.quiet_codecs import quiet_codecs
from foveal.tools.console.ray_cluster import RayCluster
from foveal.tools.offline.shard import Job, zoom_here
from foveal.tools.offline.shard_files import ShardStats


class RayZoom:
    """Zooms shards on a cluster, as an engine of ``zoom_shards``.

    Args:
        cluster: Its nodes must see the shards and the folder under the same names.

    Attributes:
        device: Where the nodes zoom: ``"cuda"`` if the cluster has GPUs, one for each shard under way, else ``"cpu"``.
    """

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster
        self.device = "cuda" if cluster.has_gpus else "cpu"

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
        shared = (replace(job, num_threads=num_threads), store)
        num_gpus = int(self.device == "cuda")
        for _, stats in self._cluster.each(_zoom_one, shared, urls, num_cpus=num_threads, num_gpus=num_gpus):
            advance(stats.samples)
            yield stats


def _zoom_one(shared: tuple[Job, Store], url: str) -> ShardStats:
    """Zoom a shard, in a worker on some node."""
    job, store = shared
    with quiet_codecs():
        [stats] = zoom_here(job, [url], store, lambda _: None)
    return stats
