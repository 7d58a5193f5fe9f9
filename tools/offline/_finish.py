"""What stands beside zoomed shards when all are done: their sizes, a sheet to look at, a summary."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console

from foveal.shards import Shards
from foveal.shards.store import Store
from foveal.tools.console.table import print_table
from foveal.tools.offline.shard import Job
from foveal.tools.offline.shard_files import ShardStats

SIZES, SHEET = "sizes.json", "sheet.png"


def finish(
    console: Console, job: Job, originals: Shards, done: Mapping[str, ShardStats], store: Store
) -> None:
    """Write what is about all shards together: ``sizes.json``, as open_clip reads it, and ``sheet.png``."""
    sizes = {name: stats.ok for name, stats in done.items()}
    store.write(SIZES, (json.dumps(sizes, indent=1) + "\n").encode())
    if not sum(sizes.values()):
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
        "MP": f"{pixels / 1e6:,.0f}",
        "seconds": f"{seconds:,.1f}",
        "images/s": f"{images / seconds:,.1f}",
        "MP/s": f"{pixels / seconds / 1e6:,.0f}",
    }
    print_table(console, ["", "this run"], [[name, value] for name, value in facts.items()])
    console.print(f"The shards: {where}")
