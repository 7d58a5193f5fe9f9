"""What is done when all shards are zoomed: indexes, sizes, a contact sheet, a summary; and what is said of all that is not as it should be."""

import itertools
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from foveal.pipeline.fields import alternatives
from foveal.shards import ShardError, Shards
from foveal.shards.index import Stamp, UnindexableError, find_fresh, index_path, index_text, tar_stamp
from foveal.shards.naming import is_remote
from foveal.shards.store import Store
from foveal.tools.console.table import print_table
from foveal.tools.offline._unwarped import Unwarped, unwarped
from foveal.tools.offline._zoomed_sample import zoomed_names
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard import Job
from foveal.tools.offline.shard_files import RECORD, ShardStats, index_name, name_of_zoomed, stats_name

SIZES, SHEET = "sizes.json", "sheet.png"
_SHARDS, _SAMPLES = 4, 8  # whose labels are examined


def mend_indexes(finished: Mapping[str, ShardStats], store: Store) -> None:
    """Write the indexes that were lost, or are of another tar, which earlier versions could leave."""
    files = store.names()
    for name, stats in finished.items():
        if name in files and stats.indexed and not _has_index(name, files, store):
            _write_index(stats, store)


def _has_index(name: str, files: Collection[str], store: Store) -> bool:
    """Return whether the index of a shard is there. On a disk it must name the state of the tar; an object store has others."""
    if index_name(name) not in files:
        return False
    url = store.url_of(name)
    return is_remote(url) or find_fresh(index_path(url), tar_stamp(url)) is not None


def _write_index(stats: ShardStats, store: Store) -> None:
    url = store.url_of(stats.shard)
    stamp = Stamp(stats.bytes_out, None, "") if is_remote(url) else tar_stamp(url)
    try:
        with store.opened(stats.shard) as tar:
            text = index_text(url, tar, stamp)
    except UnindexableError:
        store.remove(index_name(stats.shard))
        noted = replace(stats, indexed=False)  # so that the next run need not look
        store.write(stats_name(stats.shard), noted.to_json())
    except ShardError as error:
        reason = f"{error.reason} – remove it, and the same command zooms it again"
        raise ShardError(url, error.key, reason) from error
    else:
        store.write(index_name(stats.shard), text)


def write_sizes(finished: Mapping[str, ShardStats], store: Store) -> None:
    """Write ``sizes.json``, as open_clip reads it, of all finished shards in the folder, unless it is there and the same."""
    sizes = {name: stats.ok for name, stats in finished.items()}
    text = (json.dumps(sizes, indent=1) + "\n").encode()
    if SIZES not in store.names() or store.read(SIZES) != text:
        store.write(SIZES, text)


def write_sheet(
    console: Console, job: Job, originals: Shards, done: Mapping[str, ShardStats], store: Store
) -> None:
    """Write ``sheet.png``: some of the samples that were made of these originals."""
    if not any(stats.ok for stats in done.values()):
        return
    try:
        from foveal.tools.offline._sheet import draw_zoomed  # noqa: PLC0415 - matplotlib is an extra
    except ModuleNotFoundError:
        console.print("No contact sheet without matplotlib: pip install 'foveal[plots]' and zoom again.")
        return
    store.write(SHEET, draw_zoomed(job, originals, list(done), store))


def print_summary(console: Console, new: Sequence[ShardStats], seconds: float, where: str) -> None:
    """Print what this run did: images, bytes, speed, and failures by kind."""
    if not new:
        console.print(f"Nothing to do. The zoomed shards: {where}")
        return
    images, pixels = sum(stats.ok for stats in new), sum(stats.pixels for stats in new)
    bytes_in, bytes_out = sum(stats.bytes_in for stats in new), sum(stats.bytes_out for stats in new)
    failed = sum((Counter(stats.failed) for stats in new), Counter[str]())
    facts = {
        "shards": f"{len(new):,}",
        "images": f"{images:,}",
        **{status: f"{count:,}" for status, count in failed.most_common()},
        "MB in": f"{bytes_in / 1e6:,.1f}",
        "MB out": f"{bytes_out / 1e6:,.1f}",
        "out / in": f"{bytes_out / bytes_in:.3f}" if bytes_in else "-",
        "MP": f"{pixels / 1e6:,.1f}",
        "seconds": f"{seconds:,.1f}",
        "images/s": f"{images / seconds:,.1f}",
        "MP/s": f"{pixels / seconds / 1e6:,.1f}",
    }
    print_table(console, ["", "this run"], [[name, value] for name, value in facts.items()])
    console.print(f"The shards: {where}")


def unwarped_in(job: Job, done: Mapping[str, ShardStats], store: Store) -> list[Unwarped]:
    """Return the labels that are still in the frame of the originals, found in the first samples of the first finished shards."""
    found: dict[str, Unwarped] = {}
    zoomed = {name for source in alternatives(job.recipe.image) for name in zoomed_names(source, job.recipe)}
    for name in [name for name, stats in done.items() if stats.ok][:_SHARDS]:
        with Shards(store.url_of(name), storage_options=job.storage_options) as shards:
            for sample in itertools.islice(shards, _SAMPLES):
                height, width = json.loads(sample.members[RECORD])["source_size"]
                others = {name: content for name, content in sample.members.items() if name not in zoomed}
                for each in unwarped(others, (height, width), job.recipe):
                    found.setdefault(each.source, each)
    return list(found.values())


def tell_of_losses(
    shards: Shards, damaged: Mapping[str, ShardError], done: Collection[str], changed: Sequence[str]
) -> None:
    """Raise an error if the zoomed shards do not hold what the originals do.

    Args:
        shards: The originals of which anything can be read.
        damaged: Why nothing can be read of the others, by URL.
        done: The names of the finished shards, of which some may be of originals that are damaged now.
        changed: The URLs of originals that are not what they were when the run began, or whose zoomed shards have gone since.
    """
    why = {True: "has changed since this run began", False: "was zoomed, but its zoomed shard has gone"}
    again = {url: why[name_of_zoomed(url) in done] for url in changed}
    lost = {url: error.reason for url, error in damaged.items() if name_of_zoomed(url) not in done}
    kept = {url: error.reason for url, error in damaged.items() if url not in lost}
    cut = {url: error.reason for url, error in shards.cut.items()}
    kinds = (
        (again, "shard(s) to be zoomed again: the same command continues from there"),
        (lost, "damaged shard(s), of which nothing was zoomed"),
        (cut, "cut shard(s), of which only what is whole was zoomed"),
        (kept, "damaged shard(s), of which what was zoomed before is kept"),
    )
    for reasons, what in kinds:
        for url, reason in reasons.items():
            raise ShardError(url, None, f"{reason}; it is one of {len(reasons)} {what}")


def print_unwarped(console: Console, labels: Sequence[Unwarped], recipe: Recipe) -> None:
    """Print which labels do not fit the zoomed images, and what to do."""
    if not labels:
        return
    console.print("These labels were copied unwarped, in the frame of the originals:")
    width = max(len(each.source) for each in labels)
    for each in labels:
        console.print(f"  {each.source:{width}}  {each.option if recipe.patches is None else ''}".rstrip())
    warp = "with these options, or " if recipe.patches is None else ""
    console.print(f"Zoom again with --overwrite, {warp}with --drop-labels to leave them out.")
