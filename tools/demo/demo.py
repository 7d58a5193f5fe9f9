"""``foveal demo``: run the whole loader on this machine, from shards to zoomed batches, and save a picture."""

import json
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor, nn

from foveal.pipeline import LoaderStats, ZoomLoader
from foveal.shards import Shards
from foveal.tools.console.choices import DemoZoomName
from foveal.tools.console.counted import counted
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.progress import progress_bar
from foveal.tools.console.table import print_table
from foveal.tools.demo._mixed import MIXED
from foveal.tools.demo._patches import PATCHES
from foveal.tools.demo._saliency import SALIENCY
from foveal.tools.demo._shown import DemoZoom, Picked
from foveal.tools.pictures.originals import open_shards, spread_evenly
from foveal.tools.pictures.sheet import draw_sheet
from foveal.tools.scenes.scenes import write_shards

ZOOMS: dict[DemoZoomName, DemoZoom] = {"saliency": SALIENCY, "patches": PATCHES, "mixed": MIXED}
"""The choices of ``foveal demo --zoom``."""

_STAGES = {
    "read": "reading",
    "decode": "waiting for images to be decoded",
    "lowres": "low-resolution copy",
    "zoom": "saliency, grid and sampling",
    "wait": "this loop, waiting for a batch",
}


def run_demo(
    urls: Sequence[str],
    *,
    out: Path,
    zoom: DemoZoomName = "saliency",
    out_size: int = 224,
    batch_size: int = 8,
    scenes: int = 32,
    rows: int = 2,
) -> Path:
    """Zoom every image of some shards, print how fast that was, and draw a contact sheet.

    Args:
        urls: Shards; none for generated scenes, which are kept in ``out / "shards"``.
        out: The folder of the contact sheet, ``sheet.png``.
        zoom: Which of ``ZOOMS``.
        out_size: Height and width of the zoomed images, in pixels.
        batch_size: Images in a batch.
        scenes: How many scenes to generate.
        rows: How many samples the contact sheet shows, spread evenly over all.

    Returns:
        The path of the contact sheet.

    Raises:
        ShardError: There are no samples, or a shard cannot be read.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    shards = open_shards(urls or write_shards(out / "shards", scenes, console=console))
    console.print(
        f"{counted(len(shards), 'sample')} in {counted(len(shards.urls), 'shard')}, on {describe_machine()}\n"
    )
    shown = ZOOMS[zoom]
    sampler = shown.build(out_size)
    names = list(urls) or [str(out / "shards" / "*.tar")]
    show_loop(console, shards, names, shown, sampler, out_size=out_size, batch_size=batch_size)
    picks = spread_evenly(rows, len(shards))
    picked = time_epoch(console, shards, sampler, picks, batch_size=batch_size)
    path = out / "sheet.png"
    draw_sheet([shown.row(shards, sample, out_size) for sample in picked], path, titles=shown.titles)
    console.print(f"\nThe picture: {path}")
    return path


def show_loop(
    console: Console,
    shards: Shards,
    urls: list[str],
    shown: DemoZoom,
    sampler: nn.Module,
    *,
    out_size: int,
    batch_size: int,
) -> None:
    """Print the training loop as Python code, and the shapes of its first batch; this also compiles the kernels."""
    fields = ("image", "cls") if "cls" in shards.extensions(0) else ("image", "__key__")
    names = ("labels", "") if "cls" in fields else ("keys", f", fields={fields}")
    start = time.perf_counter()
    with ZoomLoader(shards.urls, sampler, batch_size=batch_size, fields=fields) as loader:
        batch = next(iter(loader))
    seconds = time.perf_counter() - start
    console.print(
        "    from foveal.pipeline import ZoomLoader\n"
        f"    from foveal.sampler import {shown.names}\n\n"
        f"    zoom = {shown.code(out_size)}\n"
        f"    loader = ZoomLoader({json.dumps(urls[0] if len(urls) == 1 else urls)}, zoom, batch_size={batch_size}{names[1]})\n"
        f"    for images, {names[0]} in loader:\n"
        f"        ...  # {describe(batch[0])}, {describe(batch[1])}\n\n"
        f"The first batch took {seconds:.1f} s, with what is compiled once.\n"
    )


def describe(value: Any) -> str:
    """Return the shape and type of one field of a batch."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return f"{len(value)} {type(value[0]).__name__}"


def time_epoch(
    console: Console, shards: Shards, sampler: nn.Module, picks: Collection[int], *, batch_size: int
) -> list[Picked]:
    """Load all samples once, print how fast that was, and return those at the picked positions; a bad one has a substitute."""
    fields = ("__index__", "image", "__grid__", "__saliency__")
    picked: list[Picked] = []
    start = time.perf_counter()
    with (
        ZoomLoader(shards.urls, sampler, batch_size=batch_size, fields=fields) as loader,
        progress_bar(console) as progress,
    ):
        task = progress.add_task("Zooming", total=len(shards))
        for batch in loader:
            seen = int(progress.tasks[task].completed)
            for position, (ordinal, *shown) in enumerate(zip(*batch, strict=True), start=seen):
                if position in picks:
                    picked.append(Picked(int(ordinal), *shown))
            progress.advance(task, len(batch[0]))
    print_speed(console, loader.stats, time.perf_counter() - start)
    return picked


def print_speed(console: Console, stats: LoaderStats, seconds: float) -> None:
    """Print how fast the pass was, and how much time each stage took."""
    console.print(
        f"{stats.images:,} images, {stats.pixels / 1e6:,.0f} MP, {stats.bytes / 1e6:,.0f} MB in {seconds:.1f} s: "
        f"{stats.images / seconds:.1f} images/s, {stats.pixels / seconds / 1e6:.0f} MP/s\n"
    )
    rows = [
        [name, f"{stats.seconds[stage]:.2f}", f"{1000 * stats.seconds[stage] / stats.images:.1f}"]
        for stage, name in _STAGES.items()
    ]
    print_table(console, ["stage (side by side)", "s", "ms/image"], rows)
