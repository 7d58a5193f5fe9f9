"""Which zoomed shards of a folder are done: those whose tar, table and stats are there, and agree."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from foveal.shards.store import Store
from foveal.tools.offline.shard_files import ShardStats, read_stats, stats_name, table_name

_READS = 32  # stats that are read at the same time


@dataclass(frozen=True, slots=True)
class Original:
    """A shard to zoom: where it is, how many samples it has, whether its tar was not read to the end, and its state."""

    url: str
    samples: int
    cut: bool
    state: str


def find_finished(
    store: Store, fingerprint: str, names: Collection[str] | None = None
) -> dict[str, ShardStats]:
    """Return the stats of the finished shards, by name: those that are complete and have this fingerprint.

    Args:
        store: The folder.
        fingerprint: The short name of what decided how they came out.
        names: Of the shards to look for; None for all in the folder, sorted.
    """
    files = store.names()
    looked_for = sorted(name for name in files if name.endswith(".tar")) if names is None else names
    found = stats_of(store, looked_for, files)
    return {
        name: stats
        for name, stats in found.items()
        if stats.fingerprint == fingerprint
        and stats.bytes_out == files.get(name)
        and table_name(name) in files
    }


def done_of(finished: Mapping[str, ShardStats], originals: Mapping[str, Original]) -> dict[str, ShardStats]:
    """Return the stats of the finished shards that have as many samples as these originals, in their order."""
    return {
        name: finished[name]
        for name, original in originals.items()
        if name in finished
        and (finished[name].samples, finished[name].cut) == (original.samples, original.cut)
    }


def stats_of(store: Store, names: Collection[str], files: Collection[str]) -> dict[str, ShardStats]:
    """Return the stats that shards of a folder with these files have, by name; those without are left out."""
    begun = [name for name in names if stats_name(name) in files]
    with ThreadPoolExecutor(_READS) as pool:
        found = zip(begun, pool.map(lambda name: read_stats(store, name), begun), strict=True)
        return {name: stats for name, stats in found if stats is not None}
