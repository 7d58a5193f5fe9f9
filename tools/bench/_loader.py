"""``foveal bench loader``: how much of the speed of decoding alone is left when the loader zooms?

In one run, these take turns: reading the samples; decoding them with DALI; decoding and making a low-resolution copy; the
whole loader with a frozen saliency network, decoding with DALI, and with ``decode="auto"`` without a bound on the zoom
and with two bounds; and a loader written by hand, with the same network.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from foveal.pipeline import ZoomLoader
from foveal.sampler import lowres
from foveal.shards import Shards
from foveal.tools.bench._by_hand import HandWrittenLoader, workers
from foveal.tools.bench._check_loader import GREY_LEVELS, Check, check_exact, check_loader, check_near
from foveal.tools.bench._deal_samples import deal_samples
from foveal.tools.bench._named import named
from foveal.tools.bench._throughput import print_throughput
from foveal.tools.bench.ceilings import DECODE, READ, count_pixels, decoded_batches, encoded_batches, exhaust
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.bench.way import Way
from foveal.tools.console.machine import describe_machine
from foveal.tools.scenes.scenes import write_shards

LOWRES, BY_HAND = "decode + low-res", "zooming by hand"


LOADER = Way("dali")
WAYS = (LOADER, Way("auto"), Way("auto", 4.0), Way("auto", 2.0))


def check_of(way: Way) -> Check:
    """Return the check of a way's pixels: exact if no image is decoded at a smaller scale."""
    return check_near if way.is_bounded else check_exact


def bench_loader(
    urls: Sequence[str],
    *,
    images: int = 128,
    batch_size: int = 32,
    repeats: int = 5,
    size: int = 224,
    scenes: int = 32,
    json_path: Path | None = None,
) -> dict[str, Timing]:
    """Time all after checking that the loader is right, print a table, and return the timings.

    Args:
        urls: Shards; none for generated scenes.
        images: How many images an epoch has: some of those of the shards, or the same ones again.
        batch_size: Images in a batch, everywhere.
        repeats: Rounds.
        size: Height and width of the zoomed images, in pixels.
        scenes: How many scenes to generate.
        json_path: Where the numbers go too.

    Raises:
        ValueError: The loader's batches are not what they should be; or none of the images can be decoded.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="foveal-") as name, ExitStack() as loaders:
        folder = Path(name)
        given = Shards(urls or write_shards(folder / "scenes", scenes, console=console))
        shards = Shards(deal_samples(given, folder / "epoch", images, console=console))
        pixels = count_pixels(shards)
        ways = {way.name: loaders.enter_context(way.loader(shards.urls, size, batch_size)) for way in WAYS}
        for way in WAYS:
            with named(way.name):
                check_loader(ways[way.name], shards, first=len(given), check=check_of(way))
        console.print(
            f"{images:,} images, {pixels / 1e6:,.0f} MP, to {size} × {size} in batches of {batch_size}, on "
            f"{describe_machine()}. Checked: every sample once; pixels as plain torch has them, "
            f"to {GREY_LEVELS} grey levels on average where a bound lets decoding scale.",
            soft_wrap=True,
        )
        timings = alternate(_cases(shards, ways, batch_size, size), repeats, console=console, peaks=True)
    print_throughput(console, timings, images=images, pixels=pixels)
    _print_ratios(console, timings)
    if json_path:
        facts = {"images": images, "pixels": pixels, "batch_size": batch_size, "size": size}
        write_json(json_path, "loader", timings, ours=list(ways), ceilings=[READ, DECODE, LOWRES], **facts)
    return timings


def _cases(
    shards: Shards, ways: dict[str, ZoomLoader], batch_size: int, size: int
) -> dict[str, Callable[[], None]]:
    zoom = LOADER.zoom(size)
    by_hand = HandWrittenLoader(shards.urls, zoom, batch_size=batch_size)
    small = zoom.lowres_size
    return {
        READ: lambda: exhaust(encoded_batches(shards, batch_size)),
        DECODE: lambda: exhaust(decoded_batches(shards, 8)),
        LOWRES: lambda: exhaust(lowres(b, small) for b in decoded_batches(shards, 8)),
        **{name: partial(exhaust, loader) for name, loader in ways.items()},
        BY_HAND: lambda: exhaust(by_hand),
    }


def _print_ratios(console: Console, timings: dict[str, Timing]) -> None:
    loader = timings[LOADER.name]
    console.print(
        f"The loader keeps {loader.times_faster_than(timings[DECODE]):.2f} of the speed of decoding alone and is "
        f"{loader.times_faster_than(timings[BY_HAND]):.1f} times as fast as one written by hand (DataLoader with {workers()} workers, "
        "Pillow, float(), grid_sample; its workers' memory not counted).",
        soft_wrap=True,
    )
