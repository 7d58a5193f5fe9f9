"""Which shards are done: those that were made of what their originals hold now."""

import hashlib
import warnings
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from rich.console import Console

from foveal.pipeline.decoding import default_num_threads
from foveal.shards import Shards, ShardWarning
from foveal.shards.store import Store
from foveal.tools.console.counted import counted
from foveal.tools.console.progress import progress_bar
from foveal.tools.offline._done import Original, done_of, find_finished
from foveal.tools.offline._made_of import differences
from foveal.tools.offline.shard import Job
from foveal.tools.offline.shard_files import ShardStats, parse_table, stats_name, table_name


def done_already(
    console: Console, job: Job, mine: Mapping[str, Original], store: Store, *, again: bool
) -> dict[str, ShardStats]:
    """Return the stats of the shards that need not be zoomed, and print how many there are, and how many have changed.

    An original in the state in which it was zoomed is not read. Any other is compared with the table of the zoomed shard;
    if nothing differs, the stats get the new state. Stats of earlier versions have none, and are taken as they are.

    Args:
        console: Where to print.
        job: The settings of the run.
        mine: The originals, by the names of the zoomed shards.
        store: The folder of these.
        again: Whether shards with failed samples are to be zoomed again.

    Raises:
        ShardError: An original cannot be read.
        StoreError: The folder cannot be read or written.
    """
    finished = find_finished(store, job.fingerprint, mine)
    if again:
        finished = {name: stats for name, stats in finished.items() if not stats.failed}
    done = _unchanged(console, job, done_of(finished, mine), mine, store, note=True)
    if done:
        console.print(f"{len(done):,} of {len(mine):,} shards are done already.")
    changed = len(finished) - len(done)
    if changed:
        console.print(f"{counted(changed, 'shard')} will be zoomed again: the original has changed since.")
    return done


def done_by_all(
    console: Console,
    job: Job,
    originals: Mapping[str, Original],
    store: Store,
    *,
    finished: Mapping[str, ShardStats],
    mine: Collection[str],
) -> dict[str, ShardStats]:
    """Return the stats of the shards of all ranks that are done. This rank has just compared or zoomed its own.

    Those of other ranks are compared only if nothing else is missing, and their stats are left to them.

    Args:
        console: Where to print.
        job: The settings of the run.
        originals: All originals, by the names of the zoomed shards.
        store: The folder of these.
        finished: The stats of the finished shards in it.
        mine: The names of those of this rank.

    Raises:
        ShardError: An original cannot be read.
        StoreError: The folder cannot be read.
    """
    done = done_of(finished, originals)
    if len(done) < len(originals):
        return done
    others = {name: stats for name, stats in done.items() if name not in mine}
    same = _unchanged(console, job, others, originals, store, note=False)
    return {name: stats for name, stats in done.items() if name in mine or name in same}


def _unchanged(
    console: Console,
    job: Job,
    finished: Mapping[str, ShardStats],
    originals: Mapping[str, Original],
    store: Store,
    *,
    note: bool,
) -> dict[str, ShardStats]:
    """Return the stats of the finished shards whose originals hold what they were made of, in their order.

    With ``note`` the new state of an original that is merely newer is written down.
    """
    known = {
        name: stats for name, stats in finished.items() if stats.original in (None, originals[name].state)
    }
    moved = [name for name in finished if name not in known]
    compared = partial(_noted if note else _compared, job, store)
    pairs = [finished[name] for name in moved], [originals[name].url for name in moved]
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(job.num_threads or default_num_threads()) as pool,
        progress_bar(console) as progress,
    ):
        warnings.simplefilter("ignore", ShardWarning)  # as given when all shards were opened
        results = progress.track(pool.map(compared, *pairs), total=len(moved), description="Comparing")
        same = {name: stats for name, stats in zip(moved, results, strict=True) if stats is not None}
    found = known | same
    return {name: found[name] for name in finished if name in found}


def _compared(job: Job, store: Store, stats: ShardStats, url: str) -> ShardStats | None:
    """Return the stats of a shard with the new state of its original; None if that holds something else now."""
    table = store.read(table_name(stats.shard))
    if hashlib.sha256(table).hexdigest() != stats.samples_sha256:
        return None
    with Shards(url, storage_options=job.storage_options) as original:
        if any(differences(original, parse_table(table), job.recipe.image)):
            return None
        return replace(stats, original=original.states[0])


def _noted(job: Job, store: Store, stats: ShardStats, url: str) -> ShardStats | None:
    """Do the same, and write these stats down."""
    found = _compared(job, store, stats, url)
    if found is not None:
        store.write(stats_name(found.shard), found.to_json())
    return found
