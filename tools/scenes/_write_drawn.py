"""Writes shards of samples that are drawn by the program."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console

from foveal.shards import ShardError, Shards, ShardWriter
from foveal.tools.console.progress import progress_bar

Draw = Callable[[int], Mapping[str, Any]]


def write_drawn_shard(
    path: Path, indices: Iterable[int], draw: Draw, *, on_written: Callable[[], object] = lambda: None
) -> None:
    """Write these samples as a shard, drawing as many at a time as there are processors for this process.

    Args:
        path: The tar to write.
        indices: Which samples, in order.
        draw: From an index to a sample, as :class:`foveal.shards.ShardWriter` takes it.
        on_written: Called after each.
    """
    with ShardWriter(path) as writer, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as artists:
        for sample in artists.map(draw, indices):
            writer.write(sample)
            on_written()


def write_drawn_shards(
    folder: Path, name: str, count: int, draw: Draw, *, per_shard: int, console: Console
) -> list[str]:
    """Write the first ``count`` samples as shards ``name-000000.tar`` ..., with a progress bar; what is already there is kept.

    A shard of another number of samples, such as the last one of an earlier call for fewer, is written anew.

    Returns:
        The paths of the tars.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [range(first, min(first + per_shard, count)) for first in range(0, count, per_shard)]
    shards = {folder / f"{name}-{number:06d}.tar": part for number, part in enumerate(parts)}
    missing = {path: part for path, part in shards.items() if _count(path) != len(part)}
    if missing:
        console.print(f"Drawing {sum(map(len, missing.values()))} scenes into {folder}")
    with progress_bar(console) as progress:
        task = progress.add_task("Drawing scenes", total=sum(map(len, missing.values())))
        for path, part in missing.items():
            write_drawn_shard(path, part, draw, on_written=lambda: progress.advance(task))
    return [str(path) for path in shards]


def _count(shard: Path) -> int | None:
    """Return how many samples a shard holds; None if there is none that can be read."""
    try:
        return len(Shards(shard))
    except ShardError:
        return None
