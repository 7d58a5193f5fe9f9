"""The measurements of ``foveal doctor``: each stage alone on some images, then the whole loader.

The images are read from the shards once, in order, and in threads if the shards are remote. All other measurements use
these images in memory, so it does not matter that the shards are in the page cache by then.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from foveal.pipeline import DecodeError, Decoder, EncodedImage, PixelRule, peek
from foveal.pipeline.decoding import PLAIN, DecodeMode, by_libjpeg
from foveal.pipeline.flow import in_threads
from foveal.sampler import SaliencySampler, lowres, sample
from foveal.sampler.grids import unchecked_grid
from foveal.sampler.saliency import softmax_map
from foveal.shards import SampleError, ShardError, Shards, ShardWriter
from foveal.shards.index import find_fresh, index_path, tar_stamp
from foveal.shards.naming import is_remote
from foveal.tools.bench.ceilings import exhaust, one_ahead
from foveal.tools.bench.timing import alternate
from foveal.tools.bench.way import Way
from foveal.tools.doctor._busy import Others
from foveal.tools.doctor._facts import DECODE, DEFAULT, GRID, LOWRES, READ, SALIENCY, SAMPLE, Facts
from foveal.tools.pictures.originals import encoded_image, open_shards, spread_evenly

WAYS = (DEFAULT, Way("auto", 4.0), Way("auto", 2.0), replace(DEFAULT, decode="dali"))
_TOGETHER = 8  # images of a micro-batch
_AT_ONCE = 32  # remote samples that the loader reads side by side


def measure(
    urls: Sequence[str],
    *,
    images: int,
    out_size: int,
    repeats: int,
    console: Console,
    image: str = "image",
    rule: PixelRule = PLAIN,
    storage_options: Mapping[str, Any] | None = None,
) -> Facts:
    """Measure everything.

    Args:
        urls: Shards.
        images: How many images to measure, spread evenly over all shards.
        out_size: Height and width of the zoomed images, in pixels.
        repeats: Number of rounds; each round times every case once.
        console: Where to show the progress.
        image: The field that is the image.
        rule: How stored values become grey levels.
        storage_options: For remote shards.

    Raises:
        ShardError: A shard cannot be read, or they hold no sample.
        ValueError: None of the images can be decoded.
    """
    start = time.perf_counter()
    shards = open_shards(urls, storage_options=storage_options)
    opening = time.perf_counter() - start
    far = [is_remote(url) for url in shards.urls]
    picks = spread_evenly(images, len(shards))
    start = time.perf_counter()
    found = list(in_threads(partial(_read, shards, image), iter(picks), _AT_ONCE if any(far) else 1))
    reading = (time.perf_counter() - start) / len(picks)
    good, bad, by_pillow = sort_out(found, rule)
    if not good:
        raise ValueError(
            f"shards must hold at least one good image, got {len(bad)} bad ones, the first: {bad[0]} – "
            "foveal verify lists all; images in another member need --image."
        )
    with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
        shard = _write(Path(folder) / "copy.tar", good)
        cases = _cases(good, shard, out_size, rule)
        with Others() as others:
            timings = alternate(cases, repeats, console=console)
        seconds = {case: timing.median / len(good) for case, timing in timings.items()}
        stages = _stages_alone(good, out_size)
    decoding, loaders, threads = _by_kind(seconds)
    return Facts(
        images=len(good),
        pixels=sum(image.height * image.width for image in good),
        bytes=sum(len(image.file) for image in good),
        bad=len(bad),
        bad_reason=bad[0] if bad else "",
        by_pillow=by_pillow,
        samples=len(shards),
        shards=len(shards.urls),
        remote=sum(far),
        without_index=sum(
            not _is_indexed(url) for url, away in zip(shards.urls, far, strict=True) if not away
        ),
        opening_seconds=opening,
        out_size=out_size,
        processors=_processors(),
        busy=others.processors,
        stages={READ: reading, DECODE: decoding[DEFAULT], **stages},
        decoding=decoding,
        loaders=loaders,
        threads=threads,
    )


def _read(shards: Shards, image: str, ordinal: int) -> bytes | str:
    """Return a sample's encoded image, or the reason why it has none."""
    try:
        found = shards[ordinal]
    except SampleError as error:
        return str(error)
    try:
        return encoded_image(found, image)
    except ShardError as error:
        return str(error)


def sort_out(
    found: Sequence[bytes | str], rule: PixelRule = PLAIN
) -> tuple[list[EncodedImage], list[str], int]:
    """Decode everything once; return the good images, the fault of each bad one, and how many Pillow decoded."""
    bad = [reason for reason in found if isinstance(reason, str)]
    good: list[EncodedImage] = []
    by_pillow = 0
    with Decoder() as decoder:
        for file in found:
            if isinstance(file, str):
                continue
            try:
                image = peek(file, rule=rule)
            except DecodeError as error:
                bad.append(error.reason)
                continue
            decoding = decoder.start([image])
            [pixels] = decoding.result()
            by_pillow += decoding.by_pillow
            if isinstance(pixels, DecodeError):
                bad.append(pixels.reason)
            else:
                good.append(image)
    return good, bad, by_pillow


def _write(path: Path, images: Sequence[EncodedImage]) -> str:
    # What kind of file it is, a loader sees by its content.
    with ShardWriter(path) as writer:
        for k, image in enumerate(images):
            writer.write({"__key__": f"{k:06d}", "jpg": image.file})
    return str(path)


def _cases(
    images: Sequence[EncodedImage], shard: str, out_size: int, rule: PixelRule
) -> dict[Any, Callable[[], object]]:
    """Return the cases to time by their kind: decoding by way, loaders by way, threads by number."""
    elsewhere = [replace(DEFAULT, device="cuda")] if torch.cuda.is_available() else []
    counts = sorted({1, max(1, _processors() // 2), _processors()})
    return {
        **{("decoding", way): partial(_decode, images, way.zoom(out_size), way.decode) for way in WAYS},
        **{("loader", way): partial(_load, shard, out_size, rule, way) for way in [*WAYS, *elsewhere]},
        **{
            ("threads", n): partial(_decode, images, DEFAULT.zoom(out_size), DEFAULT.decode, n)
            for n in counts
        },
    }


def _by_kind(
    seconds: Mapping[Any, float],
) -> tuple[dict[Way, float], dict[Way, float], dict[int, float]]:
    kinds: tuple[dict[Any, float], ...] = tuple(
        {what: taken for (kind, what), taken in seconds.items() if kind == wanted}
        for wanted in ("decoding", "loader", "threads")
    )
    return kinds[0], kinds[1], kinds[2]


def _load(shard: str, out_size: int, rule: PixelRule, way: Way) -> None:
    with way.loader(shard, out_size, 32, ("image",), rule) as loader:
        exhaust(loader)


def _decode(
    images: Sequence[EncodedImage], zoom: SaliencySampler, decode: DecodeMode, threads: int | None = None
) -> None:
    exhaust(_decoded(images, zoom, decode, threads))


def _decoded(
    images: Sequence[EncodedImage], zoom: SaliencySampler, decode: DecodeMode, threads: int | None = None
) -> Iterator[list[Tensor]]:
    """Decode a few images at a time; the next ones are decoded while the previous ones are used."""
    chosen = _plan_decoding(images, zoom, decode)
    with Decoder(num_threads=threads) as decoder:
        parts = (chosen[first : first + _TOGETHER] for first in range(0, len(images), _TOGETHER))
        for begun in one_ahead(map(decoder.start, parts)):
            yield begun.pixels()


def _plan_decoding(
    images: Sequence[EncodedImage], zoom: SaliencySampler, decode: DecodeMode
) -> Sequence[EncodedImage]:
    """Return the images with the decoder and the scale that a loader would choose for each."""
    plan_decoding = by_libjpeg(decode, torch.device("cpu"), zoom)
    return images if plan_decoding is None else [plan_decoding(image, 0) for image in images]


@torch.no_grad()
def _stages_alone(images: Sequence[EncodedImage], out_size: int) -> dict[str, float]:
    """Return the seconds per image of each stage after decoding; the stages run one after the other, and nothing else runs."""
    zoom = DEFAULT.zoom(out_size)
    chosen = _plan_decoding(images, zoom, DEFAULT.decode)
    seconds = dict.fromkeys((LOWRES, SALIENCY, GRID, SAMPLE), 0.0)

    def timed(stage: str, work: Callable[[], Tensor]) -> Tensor:
        start = time.perf_counter()
        answer = work()
        seconds[stage] += time.perf_counter() - start
        return answer

    with Decoder() as decoder:
        for first in range(0, len(images), _TOGETHER):
            part = decoder.start(chosen[first : first + _TOGETHER]).pixels()
            small = timed(LOWRES, lambda: lowres(part, zoom.lowres_size))  # noqa: B023 - called at once
            logits = timed(SALIENCY, lambda: zoom.saliency(small))  # noqa: B023 - as above
            weights = softmax_map(logits, zoom.temperature)
            grid = timed(GRID, lambda: unchecked_grid(weights, zoom.out_size, zoom.grid_settings))  # noqa: B023 - as above
            timed(SAMPLE, lambda: sample(part, grid))  # noqa: B023 - as above
    return {stage: taken / len(images) for stage, taken in seconds.items()}


def _is_indexed(url: str) -> bool:
    return find_fresh(index_path(url), tar_stamp(url)) is not None


def _processors() -> int:
    return len(os.sched_getaffinity(0))
