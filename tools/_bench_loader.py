"""``foveal bench loader``: how much of the speed of decoding alone is left when the loader zooms?

In one run, by turns: reading the samples; decoding them with DALI; decoding and a low-resolution copy; the whole
loader, whose saliency network is frozen; and a loader as one would write it by hand, with the same network.
"""

import collections
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from rich.console import Console
from torch import Tensor

from foveal.pipeline import Decoder, ZoomLoader, peek
from foveal.sampler import SaliencySampler, lowres, sample
from foveal.shards import Shards
from foveal.tools._bench import Timing, alternate, describe_machine, print_table, write_json
from foveal.tools._by_hand import HandWrittenLoader
from foveal.tools._originals import encoded_image, read_originals
from foveal.tools._scenes import write_shards

TOLERANCE = 1e-4
DECODE, LOADER, BY_HAND = "DALI decode only", "whole loader", "by hand"


def bench_loader(
    urls: Sequence[str],
    *,
    batch_size: int = 8,
    repeats: int = 5,
    size: int = 224,
    scenes: int = 32,
    json_path: Path | None = None,
) -> dict[str, Timing]:
    """Time all five after checking that the loader is right, print a table, and return the timings.

    Args:
        urls: Shards; none for generated scenes.
        batch_size: Images in a batch, everywhere.
        repeats: Rounds.
        size: Height and width of the zoomed images, in pixels.
        scenes: How many scenes to generate.
        json_path: Where the numbers go too.

    Raises:
        ValueError: The loader's batches are not what they should be.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
        shards = Shards(urls or write_shards(Path(folder), scenes, console=console))
        torch.manual_seed(0)
        zoom = SaliencySampler(size).eval().requires_grad_(requires_grad=False)
        fields = ("image", "__key__", "__grid__")
        with ZoomLoader(shards.urls, zoom, batch_size=batch_size, fields=fields) as loader:
            pixels = check_loader(loader, shards)
            console.print(
                f"{len(shards):,} images, {pixels / 1e6:,.0f} MP, to {size} × {size} in batches of {batch_size}, "
                f"on {describe_machine()}. Checked: every sample once, pixels as plain torch has them.",
                soft_wrap=True,
            )
            by_hand = HandWrittenLoader(shards.urls, zoom, (size, size), batch_size=batch_size)
            timings = alternate(_cases(shards, loader, by_hand), repeats, console=console, peaks=True)
    print_report(console, timings, images=len(shards), pixels=pixels)
    if json_path:
        facts = {"images": len(shards), "pixels": pixels, "batch_size": batch_size, "size": size}
        write_json(json_path, "loader", timings, **facts)
    return timings


def _cases(shards: Shards, loader: ZoomLoader, by_hand: HandWrittenLoader) -> dict[str, Callable[[], None]]:
    batch_size, size = by_hand.batch_size, by_hand.zoom.lowres_size
    return {
        "reading only": lambda: _exhaust(encoded_batches(shards, batch_size)),
        DECODE: lambda: _exhaust(decoded_batches(shards, batch_size)),
        "decode + low-res": lambda: _exhaust(lowres(b, size) for b in decoded_batches(shards, batch_size)),
        LOADER: lambda: _exhaust(loader),
        BY_HAND: lambda: _exhaust(by_hand),
    }


def check_loader(loader: Iterable[Sequence[Any]], shards: Shards) -> int:
    """Check an epoch, in order: keys as the shards have them, pixels as plain torch has them.

    Args:
        loader: Yields images, keys and grids.
        shards: What it reads.

    Returns:
        How many pixels the originals have.

    Raises:
        ValueError: What differs, at which sample.
    """
    seen = pixels = 0
    for images, keys, grids in loader:
        originals = read_originals(shards, range(seen, min(seen + len(keys), len(shards))))
        expected = [shards[seen + k].key for k in range(len(originals))]
        if keys != expected:
            raise ValueError(
                f"keys must be those of the shards from sample {seen}, {expected!r}, got {keys!r}."
            )
        for key, image, original, grid in zip(keys, images, originals, grids, strict=True):
            check_pixels(key, image, original, grid)
        seen += len(keys)
        pixels += sum(original.shape[0] * original.shape[1] for original in originals)
    if seen != len(shards):
        raise ValueError(f"the loader must deliver all {len(shards)} samples, got {seen}.")
    return pixels


def check_pixels(
    key: str,
    image: Float[Tensor, "3 out_height out_width"],
    original: UInt8[Tensor, "height width 3"],
    grid: Float[Tensor, "out_height out_width 2"],
) -> None:
    """Check that an image is its original, sampled by the grid, by another road: not the kernel, but plain torch.

    Raises:
        ValueError: It is not.
    """
    dense = original.permute(2, 0, 1)[None].float() / 255
    expected = sample(dense, grid[None].cpu())[0]
    difference = float((image.cpu() - expected).abs().max())
    if not difference <= TOLERANCE:
        raise ValueError(f"{key}: pixels must agree to {TOLERANCE}, got a difference of {difference!r}.")


def encoded_batches(shards: Shards, batch_size: int) -> Iterator[list[bytes]]:
    """Read every sample, a batch at a time."""
    for first in range(0, len(shards), batch_size):
        batch = range(first, min(first + batch_size, len(shards)))
        yield [encoded_image(shards[ordinal]) for ordinal in batch]


def decoded_batches(shards: Shards, batch_size: int) -> Iterator[list[UInt8[Tensor, "_height _width 3"]]]:
    """Decode every image, always a batch ahead: the ceiling of what a loader can do."""
    with Decoder() as decoder:
        ahead = None
        for encoded in encoded_batches(shards, batch_size):
            now, ahead = ahead, decoder.start([peek(file) for file in encoded])
            if now:
                yield now.pixels()
        if ahead:
            yield ahead.pixels()


def print_report(console: Console, timings: dict[str, Timing], *, images: int, pixels: int) -> None:
    """Print the table, and the two ratios that matter."""
    rows = [
        [
            name,
            f"{images / timing.median:.1f}",
            f"{pixels / timing.median / 1e6:,.0f}",
            f"{timing.times_faster_than(timings[DECODE]):.2f}",
            f"{timing.peak_mb:,}",
        ]
        for name, timing in timings.items()
    ]
    print_table(console, ["", "images/s", "MP/s", "of decode only", "peak MB"], rows)
    of_decode = timings[LOADER].times_faster_than(timings[DECODE])
    of_hand = timings[LOADER].times_faster_than(timings[BY_HAND])
    console.print(
        f"The loader keeps {of_decode:.2f} of the speed of decoding alone and is {of_hand:.1f} times as fast as one "
        "written by hand (DataLoader with 2 workers, Pillow, float(), grid_sample; its workers' memory not counted).",
        soft_wrap=True,
    )


def _exhaust(batches: Iterable[object]) -> None:
    collections.deque(batches, maxlen=0)
