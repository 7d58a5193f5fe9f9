"""``foveal bench loader --gpu``: how much of the speed of nvJPEG alone is left when the loader zooms on the GPU?

For comparison, the same rounds also time the CPU of the machine: DALI's decoder, and the loader that decodes and zooms
there.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from foveal.pipeline import ZoomLoader
from foveal.pipeline.decoding import default_num_threads
from foveal.pipeline.epoch import zoomed_together
from foveal.pipeline.flow import existing_device
from foveal.shards import Shards
from foveal.tools.bench._deal_samples import deal_samples
from foveal.tools.bench._loader import WAYS
from foveal.tools.bench._throughput import print_throughput
from foveal.tools.bench.ceilings import (
    READ,
    count_pixels,
    decoded_batches,
    encoded_batches,
    exhaust,
    exhaust_on,
)
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.scenes.scenes import write_shards

GOAL = 0.85
"""The goal: the loader's share of the speed of decoding alone on the device."""


def bench_device(
    urls: Sequence[str],
    *,
    device: str = "cuda",
    images: int = 256,
    batch_size: int = 64,
    repeats: int = 3,
    size: int = 224,
    scenes: int = 32,
    json_path: Path | None = None,
) -> dict[str, Timing]:
    """Time all, print a table, and return the timings. What the loader delivers is checked by ``foveal bench gpu``.

    Args:
        urls: Shards; none for generated scenes.
        device: Device of the first loader; ``"cpu"`` only tests the program itself.
        images: How many images an epoch has: some of those of the shards, or the same ones again.
        batch_size: Images in a batch.
        repeats: Rounds.
        size: Height and width of the zoomed images, in pixels.
        scenes: How many scenes to generate.
        json_path: Where the numbers go too.
    """
    console, threads = Console(), default_num_threads()
    there, place = decode_only(device), existing_device(device)
    with tempfile.TemporaryDirectory(prefix="foveal-") as name, ExitStack() as loaders:
        given = Shards(urls or write_shards(Path(name) / "scenes", scenes, console=console))
        shards = Shards(deal_samples(given, Path(name) / "epoch", images, console=console))
        pixels = count_pixels(shards)
        made = {
            row: loaders.enter_context(loader) for row, loader in _loaders(shards, size, batch_size, device)
        }
        cases: dict[str, Callable[[], None]] = {
            READ: lambda: exhaust(encoded_batches(shards, batch_size)),
            there: partial(
                exhaust_on, device, lambda: decoded_batches(shards, zoomed_together(place), device)
            ),
            f"DALI decode only, CPU, {threads} threads": lambda: exhaust(decoded_batches(shards, 8)),
            **{row: partial(exhaust_on, device, partial(iter, loader)) for row, loader in made.items()},
        }
        timings = alternate(cases, repeats, console=console)
    console.print(
        f"{images:,} images, {pixels / 1e6:,.0f} MP, to {size} × {size} in batches of {batch_size}, on {describe_machine()}.",
        soft_wrap=True,
    )
    print_throughput(console, timings, images=images, pixels=pixels, reference=there)
    console.print(f"The loader keeps {kept(timings, device):.2f} of {there} (goal {GOAL}).", soft_wrap=True)
    if json_path:
        facts = {"images": images, "pixels": pixels, "batch_size": batch_size, "size": size, "device": device}
        write_json(json_path, "loader on a device", timings, ceilings=[READ, there], **facts)
    return timings


def decode_only(device: str) -> str:
    """Return the name of the row of decoding alone on a device."""
    return f"{'nvJPEG' if torch.device(device).type == 'cuda' else 'DALI'} decode only, on {device}"


def zooming(device: str) -> str:
    """Return the name of the row of the loader on a device."""
    return f"Foveal, decoding and zooming on {device}"


def kept(timings: dict[str, Timing], device: str) -> float:
    """Return how much of the speed of decoding alone the loader on the device has."""
    return timings[zooming(device)].times_faster_than(timings[decode_only(device)])


def _loaders(shards: Shards, size: int, batch_size: int, device: str) -> Iterable[tuple[str, ZoomLoader]]:
    for row, way, place in (
        (zooming(device), WAYS[0], device),
        (f"Foveal on the CPU, decode {WAYS[1]}", WAYS[1], "cpu"),
        (f"Foveal on the CPU, decode {WAYS[2]}", WAYS[2], "cpu"),
    ):
        zoom = way.zoom(size).to(place)
        yield (
            row,
            ZoomLoader(
                shards.urls, zoom, batch_size=batch_size, fields=("image",), decode=way.decode, device=place
            ),
        )
