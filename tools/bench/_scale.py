"""``foveal bench scale``: how long does a megapixel take in small and large images and batches, on one processor and on two?

One picture is cut into images of 0.3, 2, 12 and 24 megapixels, which go through a loader with a frozen network, in turn
in a process that may use one processor and in one that may use two. Large batches are measured on the small images,
because there are enough of these to fill them.
"""

import functools
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console

from foveal._choices import MAX_ZOOM
from foveal.pipeline import ZoomLoader
from foveal.shards import Shards, ShardWriter
from foveal.tools.bench._check_loader import GREY_LEVELS, check_loader, check_near
from foveal.tools.bench.ceilings import count_pixels, exhaust
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.bench.way import Way
from foveal.tools.console.counted import counted
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.table import print_table
from foveal.tools.scenes.scenes import as_jpeg, draw_scene

SIZES = ((640, 480), (1632, 1224), (4000, 3000), (6000, 4000))
"""(width, height) in pixels: 0.3, 2, 12 and 24 megapixels."""
SMALL_BATCH, LARGE_BATCH = 16, 256
_WAY, _SIZE = Way("auto", MAX_ZOOM), 224


@dataclass(frozen=True, slots=True)
class Case:
    """One epoch.

    Attributes:
        shard: Where its images are.
        megapixels: Of each image.
        batch_size: Images of a batch.
        processors: Number of processors that it may use.
    """

    shard: str
    megapixels: float
    batch_size: int
    processors: int

    def __str__(self) -> str:
        return f"{self.megapixels:.1f} MP, batch {self.batch_size}, {counted(self.processors, 'processor')}"


def bench_scale(
    *,
    repeats: int = 5,
    sizes: Sequence[tuple[int, int]] = SIZES,
    epoch_pixels: int = 160_000_000,
    json_path: Path | None = None,
) -> dict[Case, Timing]:
    """Time all cases after checking the loader's output on each size, print a table, and return the times per megapixel.

    Args:
        repeats: Rounds.
        sizes: (width, height) of the images, in pixels, in rising order.
        epoch_pixels: Approximate number of pixels of an epoch: the smaller the images, the more of them.
        json_path: Where the numbers go too.

    Raises:
        ValueError: The loader's batches are not what they should be.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="foveal-") as folder, ExitStack() as machines:
        shards = write_cuts(Path(folder), sizes, epoch_pixels)
        for shard in shards:
            with _WAY.loader(shard, _SIZE, SMALL_BATCH) as loader:
                check_loader(loader, Shards(shard), first=SMALL_BATCH, check=check_near)
        console.print(
            f"Epochs of {epoch_pixels / 1e6:,.0f} MP to {_SIZE} × {_SIZE}, on {describe_machine()}. Checked: every image "
            f"once, pixels as plain torch has them, to {GREY_LEVELS} grey levels on average.",
            soft_wrap=True,
        )
        processors = [count for count in (1, 2) if count <= len(os.sched_getaffinity(0))]
        on = {count: machines.enter_context(only_processors(count)) for count in processors}
        cases = {str(case): case for case in _cases(shards, processors)}
        runs = {
            name: functools.partial(_run_on, on[case.processors], case.shard, case.batch_size)
            for name, case in cases.items()
        }
        epochs = alternate(runs, repeats, console=console)
        pixels = {shard: count_pixels(Shards(shard)) for shard in shards}
    timings = {case: epochs[name].divided_by(pixels[case.shard] / 1e6) for name, case in cases.items()}
    rows = [[str(case), f"{1000 * t.median:.2f}", f"{1 / t.median:,.0f}"] for case, t in timings.items()]
    print_table(console, ["", "ms a megapixel", "MP/s"], rows)
    for line in conclusions(timings):
        console.print(line, soft_wrap=True)
    if json_path:
        write_json(json_path, "scale", {str(case): t for case, t in timings.items()}, of="one megapixel")
    return timings


def write_cuts(folder: Path, sizes: Sequence[tuple[int, int]], epoch_pixels: int) -> dict[str, float]:
    """Write a shard of images of each size, cut out of the same picture at up to eight places.

    Returns:
        The megapixels of an image, by the path of the shard.
    """
    whole = draw_scene(0, size=max(sizes)).image
    shards = {}
    for width, height in sizes:
        room_y, room_x = whole.shape[0] - height, whole.shape[1] - width
        corners = [(room_y * k // 7, room_x * (3 * k % 8) // 7) for k in range(8)]
        files = [as_jpeg(whole[y : y + height, x : x + width]) for y, x in dict.fromkeys(corners)]
        path = folder / f"{width}x{height}.tar"
        with ShardWriter(path) as writer:
            for k in range(max(1, epoch_pixels // (width * height))):
                writer.write({"__key__": f"{k:06d}", "jpg": files[k % len(files)]})
        shards[str(path)] = width * height / 1e6
    return shards


def _cases(shards: Mapping[str, float], processors: Sequence[int]) -> Iterator[Case]:
    smallest = next(iter(shards))
    for count in processors:
        for shard, megapixels in shards.items():
            yield Case(shard, megapixels, SMALL_BATCH, count)
            if shard == smallest:
                yield Case(shard, megapixels, LARGE_BATCH, count)


def conclusions(timings: Mapping[Case, Timing]) -> list[str]:
    """Return sentences that sum up the times per megapixel."""
    most = max(case.processors for case in timings)
    alike = {c: t for c, t in timings.items() if c.processors == most and c.batch_size == SMALL_BATCH}
    large = [timing.median for case, timing in alike.items() if case.megapixels >= 1.9]
    lines = []
    if len(large) > 1:
        lines.append(
            f"From 2 MP on, the slowest size takes {max(large) / min(large):.2f} times the quickest's."
        )
    for case, timing in timings.items():
        if case.batch_size == LARGE_BATCH and case.processors == most:
            ratio = timing.times_faster_than(timings[replace(case, batch_size=SMALL_BATCH)])
            lines.append(
                f"Batches of {LARGE_BATCH} run at {ratio:.2f} times the speed of those of {SMALL_BATCH}."
            )
    for case, timing in alike.items():
        if most > 1:
            ratio = timing.times_faster_than(timings[replace(case, processors=1)])
            lines.append(
                f"{case.megapixels:.1f} MP: {most} processors run at {ratio:.2f} times the speed of one."
            )
    return lines


@contextmanager
def only_processors(count: int) -> Iterator[ProcessPoolExecutor]:
    """Return a pool of one process that may use only this many processors from its start, when libraries count them."""
    all_of_them = os.sched_getaffinity(0)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as machine:
        os.sched_setaffinity(0, sorted(all_of_them)[:count])
        try:
            machine.submit(torch.set_num_threads, count).result()
        finally:
            os.sched_setaffinity(0, all_of_them)
        yield machine


def _run_on(machine: ProcessPoolExecutor, shard: str, batch_size: int) -> None:
    machine.submit(_epoch, shard, batch_size).result()


def _epoch(shard: str, batch_size: int) -> None:
    exhaust(_kept_loader(shard, batch_size))


@functools.cache
def _kept_loader(shard: str, batch_size: int) -> ZoomLoader:
    return _WAY.loader(shard, _SIZE, batch_size, ("image",))
