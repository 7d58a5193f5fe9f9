"""``foveal bench faults``: what do bad images cost the good ones?

The same images are loaded twice, once as they are and once with some of them damaged in different ways: empty, an error
page, cut in the middle, and damaged so that only decoding shows it, which makes DALI's whole batch fail.
"""

import itertools
import random
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler
from foveal.shards import Shards, ShardWarning, ShardWriter
from foveal.tools.bench._deal_samples import good_files
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.table import print_table
from foveal.tools.scenes.scenes import write_shards

CLEAN, FAULTY, KNOWN = "no bad images", "bad images", "bad images, known by a quarantine file"


def bench_faults(
    urls: Sequence[str],
    *,
    images: int = 400,
    percent: float = 1.0,
    batch_size: int = 32,
    repeats: int = 5,
    size: int = 224,
    json_path: Path | None = None,
) -> dict[str, Timing]:
    """Time an epoch with bad images and one without, after checking what each delivers. Images that are bad already are left out of both.

    Args:
        urls: Shards of JPEGs; none for generated scenes.
        images: How many images an epoch has; those of the shards are repeated.
        percent: Percentage of images that are bad; at least one is, unless it is 0.
        batch_size: Images in a batch.
        repeats: Rounds.
        size: Height and width of the zoomed images, in pixels.
        json_path: Where the numbers go too.

    Raises:
        ValueError: An epoch does not deliver what it should; or none of the images can be decoded.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="foveal-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", ShardWarning)  # of the bad images, in each epoch
        folder = Path(name)
        shards = Shards(urls or write_shards(folder, 32, console=console))
        bad = choose_bad(images, percent)
        clean, faulty = folder / "clean.tar", folder / "faulty.tar"
        files = good_files(shards, images, console)
        write_samples(clean, files, images, set())
        write_samples(faulty, files, images, bad)
        cases = _cases(clean, faulty, folder / "bad.jsonl", batch_size=batch_size, size=size)
        check_epoch(cases[CLEAN], images, set())
        check_epoch(cases[FAULTY], images, bad)
        check_epoch(cases[KNOWN], images, bad)  # which writes the quarantine file
        check_epoch(cases[KNOWN], images, bad, known=True)
        console.print(
            f"{images:,} images, {len(bad)} of them bad, to {size} × {size} in batches of {batch_size}, on "
            f"{describe_machine()}. Checked: every good sample once, the bad ones reported and substituted.",
            soft_wrap=True,
        )
        timings = alternate({name: _epoch(case) for name, case in cases.items()}, repeats, console=console)
    _print_report(console, timings, images=images, bad=len(bad))
    if json_path:
        write_json(
            json_path, "faults", timings, images=images, bad=len(bad), batch_size=batch_size, size=size
        )
    return timings


def choose_bad(images: int, percent: float) -> set[int]:
    """Return the numbers of the images to damage: of a few images at least one, unless ``percent`` is 0."""
    count = max(round(images * percent / 100), percent > 0)
    return set(random.Random(0).sample(range(images), count))  # noqa: S311 - no secret


def write_samples(path: Path, files: Sequence[bytes], images: int, bad: set[int]) -> None:
    """Write a shard of so many images, these files in turn, the bad ones damaged in each of the ways in turn."""
    damages = itertools.cycle(DAMAGES)
    with ShardWriter(path) as writer:
        for number in range(images):
            file = files[number % len(files)]
            writer.write({"__key__": f"{number:06d}", "jpg": next(damages)(file) if number in bad else file})
    Shards(path)  # leaves its index


def check_epoch(loader: Callable[[], ZoomLoader], images: int, bad: set[int], *, known: bool = False) -> None:
    """Check that an epoch delivers every good sample once as valid, and reports every bad one, unless it was known before.

    Raises:
        ValueError: It does not.
    """
    with loader() as one:
        valid = [
            key for _, keys, flags in one for key, flag in zip(keys, flags.tolist(), strict=True) if flag
        ]
        reported = sorted(int(sample.key) for sample in one.bad_samples)
    good = [f"{number:06d}" for number in range(images) if number not in bad]
    expected = [] if known else sorted(bad)
    if valid != good or reported != expected:
        raise ValueError(
            f"an epoch must deliver {len(good)} good samples and report {len(expected)}, got {len(valid)} and {len(reported)}."
        )


def _cut(file: bytes) -> bytes:
    return file[: len(file) // 2]


def _without_tables(file: bytes) -> bytes:
    """Turn a JPEG's quantization tables into comments, so that its header can be read and its pixels cannot."""
    return file.replace(b"\xff\xdb", b"\xff\xfe", 4)


DAMAGES: tuple[Callable[[bytes], bytes], ...] = (
    _cut,
    _without_tables,
    lambda _: b"",
    lambda _: b"<html><body>503 Slow Down</body></html>",
)


def _cases(
    clean: Path, faulty: Path, quarantine: Path, *, batch_size: int, size: int
) -> dict[str, Callable[[], ZoomLoader]]:
    torch.manual_seed(0)
    zoom = SaliencySampler(size).eval().requires_grad_(requires_grad=False)

    def loader(path: Path, quarantine: Path | None = None) -> Callable[[], ZoomLoader]:
        # A new loader each time, because a loader remembers which samples were bad.
        return lambda: ZoomLoader(
            path,
            zoom,
            batch_size=batch_size,
            fields=("image", "__key__", "__valid__"),
            max_bad_fraction=1.0,
            quarantine=quarantine,
        )

    return {CLEAN: loader(clean), FAULTY: loader(faulty), KNOWN: loader(faulty, quarantine)}


def _epoch(loader: Callable[[], ZoomLoader]) -> Callable[[], None]:
    def run() -> None:
        with loader() as one:
            for _ in one:
                pass

    return run


def _print_report(console: Console, timings: dict[str, Timing], *, images: int, bad: int) -> None:
    rows = [
        [name, f"{images / timing.median:.1f}", f"{timing.times_faster_than(timings[CLEAN]):.3f}"]
        for name, timing in timings.items()
    ]
    print_table(console, ["", "images/s", "of none bad"], rows)
    kept = timings[FAULTY].times_faster_than(timings[CLEAN])
    console.print(f"With {bad / images:.1%} bad images the loader keeps {kept:.3f} of its speed.")
