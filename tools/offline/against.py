"""``foveal verify --against``: proves that zoomed shards are complete, by comparing them with their originals."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from foveal.pipeline.decoding import default_num_threads
from foveal.shards import ShardError, Shards, ShardWarning
from foveal.shards.index import UnusableError, agreed
from foveal.shards.naming import is_remote, local_path
from foveal.shards.store import Store, open_store
from foveal.tools.console.counted import counted
from foveal.tools.console.print_findings import print_findings
from foveal.tools.console.progress import progress_bar
from foveal.tools.offline._made_of import differences, first_difference
from foveal.tools.offline.manifest import MANIFEST, read_manifest
from foveal.tools.offline.recipe import fingerprint_id
from foveal.tools.offline.shard_files import (
    OK,
    SampleRow,
    ShardStats,
    count_failures,
    index_name,
    name_of_zoomed,
    parse_stats,
    parse_table,
    stats_name,
    table_name,
)
from foveal.tools.packing.without_index import print_without_index


class Finding(NamedTuple):
    """Something that is wrong.

    Attributes:
        shard: The name of the zoomed shard.
        fault: What is wrong; the text is the same for all faults of a kind.
        detail: The details of this one.
    """

    shard: str
    fault: str
    detail: str = ""


def verify_against(
    out: str, urls: Sequence[str], *, storage_options: Mapping[str, Any] | None = None
) -> bool:
    """Compare zoomed shards with their originals, and print what is missing or wrong.

    Every original must have a finished zoomed shard that was made with the fingerprint of the folder, and whose content
    has the hash in its stats. Its table must have every key of the original, in order, with the hashes of the original
    image and of the other members as they are now; tables of earlier versions have that of the image alone. The zoomed shard must have the keys that are ``ok``, in order. Nothing is decoded.

    Args:
        out: The folder of zoomed shards.
        urls: The originals, as ``expand_urls`` understands them.
        storage_options: For remote shards, and for a remote folder.

    Returns:
        Whether anything is wrong.

    Raises:
        ShardError: An original cannot be read.
        ValueError: The folder was not made by ``foveal zoom``.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    options = dict(storage_options or {})
    store, fingerprint = _opened(out, options)
    originals = Shards(urls, storage_options=options)
    originals.close()
    whole = [url for url in originals.urls if url not in originals.damaged]
    findings: list[Finding] = []
    counts: Counter[str] = Counter()
    files = store.names()
    check = partial(_check_shard, store, files, fingerprint, options)
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(default_num_threads()) as pool,
        progress_bar(console) as progress,
    ):
        warnings.simplefilter("ignore", ShardWarning)  # what is wrong with a zoomed shard is a finding
        checks = pool.map(check, whole)
        for found, rows in progress.track(checks, total=len(whole), description="Comparing"):
            findings += found
            counts.update(row.status for row in rows)
    findings += _strangers(files, originals.urls)
    findings += [
        Finding(name_of_zoomed(url), "was to be made of a damaged shard", error.reason)
        for url, error in originals.damaged.items()
    ]
    findings += [
        Finding(name_of_zoomed(url), "was made of a cut shard", error.reason)
        for url, error in originals.cut.items()
    ]
    places = ((found.fault, ": ".join(filter(None, (found.shard, found.detail)))) for found in findings)
    print_findings(console, places, what="findings")
    print_without_index(console, [name for url in whole if (name := name_of_zoomed(url)) in files], files)
    failed = ", ".join(f"{count:,} {status}" for status, count in counts.most_common() if status != OK)
    console.print(
        f"{counted(len(originals), 'sample')} of {counted(len(originals.urls), 'shard')}: {counts[OK]:,} zoomed{failed and f', {failed}'}; "
        f"{counted(len(findings), 'finding') if findings else 'all accounted for'}."
    )
    return bool(findings)


def _opened(out: str, options: Mapping[str, Any]) -> tuple[Store, dict[str, Any]]:
    """Return a folder that ``foveal zoom`` wrote, and its fingerprint; a local folder that does not exist is not created."""
    exists = is_remote(out) or Path(local_path(out)).is_dir()
    store = open_store(out, options) if exists else None
    fingerprint = None if store is None else read_manifest(store)
    if store is None or fingerprint is None:
        raise ValueError(
            f"urls must be one folder that foveal zoom wrote, got {out!r}, where there is no {MANIFEST}."
        )
    return store, fingerprint


def _check_shard(
    store: Store, files: Collection[str], fingerprint: Mapping[str, Any], options: Mapping[str, Any], url: str
) -> tuple[list[Finding], list[SampleRow]]:
    name = name_of_zoomed(url)
    stats = parse_stats(store.read(stats_name(name))) if stats_name(name) in files else None
    if stats is None or name not in files or table_name(name) not in files:
        return [Finding(name, "is not done")], []
    table = store.read(table_name(name))
    rows = parse_table(table)
    found = list(_faults_of_files(store, stats, table, rows, fingerprint=dict(fingerprint)))
    with Shards(url, storage_options=options) as original:
        found += [Finding(name, *each) for each in differences(original, rows, fingerprint["image"])]
    try:
        with Shards(store.url_of(name), storage_options=options) as zoomed:
            keys = [zoomed.key(k) for k in range(len(zoomed))]
        if index_name(name) in files:
            found += _fault_of_index(store, name)
    except ShardError as error:
        return [*found, Finding(name, "cannot be read", error.reason)], rows
    good = [row.key for row in rows if row.status == OK]
    if keys != good:
        found.append(Finding(name, "has other keys than its table", first_difference(good, keys)))
    return found, rows


def _faults_of_files(
    store: Store, stats: ShardStats, table: bytes, rows: Sequence[SampleRow], *, fingerprint: dict[str, Any]
) -> Iterator[Finding]:
    name = stats.shard
    if stats.fingerprint != fingerprint_id(fingerprint):
        yield Finding(name, "was made with another fingerprint", stats.fingerprint)
    if store.digest(name) != stats.sha256:
        yield Finding(name, "has another content than its stats say")
    if hashlib.sha256(table).hexdigest() != stats.samples_sha256:
        yield Finding(name, "has another table than its stats say")
    counted = len(rows), sum(row.status == OK for row in rows), count_failures(rows)
    if counted != (stats.samples, stats.ok, stats.failed):
        yield Finding(name, "has other counts than its table")


def _fault_of_index(store: Store, name: str) -> Iterator[Finding]:
    """Compare an index with the headers of its tar: DALI's reader believes it."""
    try:
        with store.opened(name) as tar:
            agreed(store.url_of(name), store.read(index_name(name)), tar)
    except UnusableError as error:
        yield Finding(name, "has an index of another tar", f"which {error}")


def _strangers(files: Collection[str], urls: Sequence[str]) -> list[Finding]:
    names = set(map(name_of_zoomed, urls))
    tars = sorted(name for name in files if name.endswith(".tar"))
    return [Finding(name, "belongs to none of the originals") for name in tars if name not in names]
