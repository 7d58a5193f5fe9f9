"""``foveal bench zoom``: how much of the speed of decoding alone is left when shards are rewritten zoomed?"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import torch
from rich.console import Console

from foveal.shards import ShardError, Shards
from foveal.shards.store import open_store
from foveal.tools.bench._readable import say_left_out
from foveal.tools.bench._throughput import print_throughput
from foveal.tools.bench.ceilings import DECODE, decoded_batches, exhaust
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.console.choices import ImageFormat
from foveal.tools.console.choose_zoom import choose_zoom
from foveal.tools.console.machine import describe_machine
from foveal.tools.offline.against import verify_against
from foveal.tools.offline.manifest import claim
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard import Job, zoom_here
from foveal.tools.offline.shard_files import (
    OK,
    SampleRow,
    ShardStats,
    name_of_zoomed,
    parse_table,
    table_name,
)
from foveal.tools.scenes.scenes import write_shards

_FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)


def bench_zoom(
    urls: Sequence[str],
    *,
    repeats: int = 5,
    size: int = 224,
    scenes: int = 32,
    json_path: Path | None = None,
) -> dict[str, Timing]:
    """Time decoding alone and zooming to each format, after checking that the output is complete; print a table.

    Bad samples are listed by each run that zooms, as ``foveal zoom`` does it; otherwise they are left out of all rows.

    Args:
        urls: Shards; none for generated scenes.
        repeats: Rounds.
        size: Height and width of the zoomed images, in pixels.
        scenes: How many scenes to generate.
        json_path: Where the numbers go too.

    Raises:
        ValueError: What is written is not complete; or none of the images can be zoomed.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
        shards = Shards(urls or write_shards(Path(folder) / "in", scenes, console=console))
        runs: dict[str, _Run] = {kind: _Run(shards, Path(folder) / kind, kind, size) for kind in _FORMATS}
        written = {kind: run() for kind, run in runs.items()}
        for kind in _FORMATS:
            if verify_against(f"{folder}/{kind}", shards.urls):
                raise ValueError(f"zoomed shards must be complete, got the findings above for {kind!r}.")
        good = _zoomed(runs["jpg"].rows(), console)
        cases: dict[str, Callable[[], object]] = {
            DECODE: lambda: exhaust(decoded_batches(shards, 8, ordinals=good)),
            **runs,
        }
        timings = alternate(cases, repeats, console=console, peaks=True)
    pixels = sum(stats.pixels for stats in written["jpg"])
    console.print(
        f"{len(good):,} images, {pixels / 1e6:,.0f} MP, to {size} × {size}, on {describe_machine()}. "
        "Checked: every sample accounted for, hashes right.",
        soft_wrap=True,
    )
    print_throughput(
        console,
        timings,
        images=len(good),
        pixels=pixels,
        columns=["MB out", "of MB in"],
        beside=_sizes(written),
    )
    if json_path:
        write_json(json_path, "zoom", timings, images=len(good), pixels=pixels, size=size)
    return timings


class _Run:
    """Zooms all shards into a folder, each time anew."""

    def __init__(self, shards: Shards, out: Path, kind: ImageFormat, size: int) -> None:
        recipe = Recipe(out_size=size, format=kind)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        zoom = choose_zoom(size, recipe.saliency, recipe)
        self._urls, self._store = shards.urls, open_store(out)
        fingerprint = claim(self._store, recipe.fingerprint(zoom, device.type))
        self._job = Job(recipe, zoom, device, fingerprint, {}, None)

    def __call__(self) -> list[ShardStats]:
        return list(zoom_here(self._job, self._urls, self._store, lambda _: None))

    def rows(self) -> Iterator[tuple[str, SampleRow]]:
        """Yield the shard and the result of each sample, in the order of the shards."""
        for url in self._urls:
            for row in parse_table(self._store.read(table_name(name_of_zoomed(url)))):
                yield url, row


def _zoomed(rows: Iterable[tuple[str, SampleRow]], console: Console) -> list[int]:
    """Return the numbers of the samples that were zoomed, and print how many the others are.

    Raises:
        ValueError: None was zoomed.
    """
    found = list(rows)
    faults = [
        str(ShardError(url, row.key, row.reason or row.status)) for url, row in found if row.status != OK
    ]
    say_left_out(faults, len(found), console)
    return [k for k, (_, row) in enumerate(found) if row.status == OK]


def _sizes(written: dict[str, list[ShardStats]]) -> dict[str, list[str]]:
    read = sum(stats.bytes_in for stats in written["jpg"])
    sizes: dict[str, int] = {kind: sum(s.bytes_out for s in stats) for kind, stats in written.items()}
    return {kind: [f"{size / 1e6:.2f}", f"{size / read:.3f}"] for kind, size in sizes.items()}
