"""What is written and printed when all shards are zoomed: their sizes, a contact sheet, a summary, and labels that do not fit."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console

from foveal.pipeline.fields import alternatives
from foveal.shards import Shards
from foveal.shards.store import Store
from foveal.tools.console.table import print_table
from foveal.tools.offline._unwarped import Unwarped, unwarped
from foveal.tools.offline._zoomed_sample import zoomed_names
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard import Job
from foveal.tools.offline.shard_files import RECORD, ShardStats

SIZES, SHEET = "sizes.json", "sheet.png"
_SHARDS, _SAMPLES = 4, 8  # whose labels are examined


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
