"""``foveal verify``: decode every image as the loader does, and list the bad samples."""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from foveal.pipeline import BadSample, LoaderStats, Quarantine, ZoomLoader
from foveal.pipeline.decoding import MAX_PIXELS, PLAIN, PixelRule
from foveal.pipeline.faults import KnownSamples
from foveal.pipeline.fields import Field, alternatives, parse_fields
from foveal.sampler import Zoomed
from foveal.shards import IndexWarning, ShardWarning, expand_urls
from foveal.tools.console.distribute import Distribute
from foveal.tools.console.print_findings import print_findings
from foveal.tools.console.progress import progress_bar
from foveal.tools.console.quiet_codecs import quiet_codecs

_BATCH_SIZE = 16
# Images without a brighter grey level, of 255, are nearly black: their files have three bits or more that none of them uses.
_DARK = 31


class _Glance(nn.Module):
    """A zoom that returns empty images, because verifying only needs the decoding.

    Args:
        beside: Members that each sample must have, too; asked for as a zoom does, none is taken for the image.

    Attributes:
        brightest: The largest grey level of all images. It is in training mode, so that one thread at a time calls it.
    """

    def __init__(self, beside: tuple[str, ...]) -> None:
        super().__init__()
        self.condition = beside
        self.brightest = 0

    def forward(self, images: Sequence[Tensor], lowres: None = None, **_: object) -> Zoomed:  # noqa: ARG002 - as any zoom
        count = len(images)
        self.brightest = max([self.brightest, *(int(image.max()) for image in images)])
        grid = torch.zeros(count, 1, 1, 2)  # the smallest grid by which labels can be warped
        return Zoomed(torch.empty(count, 3, 0, 0), grid, torch.empty(count, 1, 0, 0))


@dataclass(frozen=True, slots=True)
class _Job:
    """How shards are decoded: see ``verify_shards``."""

    fields: tuple[Field, ...]
    beside: tuple[str, ...]
    max_pixels: int
    rule: PixelRule
    storage_options: Mapping[str, Any] | None
    num_threads: int | None


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found in shards."""

    bad: list[BadSample]
    warned: list[tuple[str, bool]]  # a message about a shard, and whether something of the shard is missing
    stats: LoaderStats
    brightest: int  # grey level of 255


def parse_members(members: str, image: str) -> tuple[str, tuple[str, ...]]:
    """Return which of the members on the command line is the image, and the others.

    Args:
        members: Their names, separated by commas; ``image`` stands for the image, which may also be named by its extension.
        image: The member that holds the image; alternatives are separated by ``;``.

    Raises:
        ValueError: The image is not among them, a member is named twice, or a name is none.
    """
    stripped = (name.strip() for name in members.split(","))
    names = [image if name == "image" else name for name in stripped]
    try:
        parsed = parse_fields([image] if image in names else names)
        own = next(name for name in names if parsed.is_image(name))
        beside = tuple(name for name in names if name != own)
        parse_fields([own], condition=beside)
        parts = [part for name in names for part in alternatives(name)]
        fits = len(set(parts)) == len(parts)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            "members must be image and members beside it, each once and separated by commas, got "
            f"{members!r} – write --members image,cls."
        )
    return own, beside


def verify_shards(
    urls: Sequence[str],
    *,
    quarantine: str | os.PathLike[str],
    fields: Sequence[Field] = ("image",),
    beside: Sequence[str] = (),
    max_pixels: int | None = None,
    rule: PixelRule = PLAIN,
    storage_options: Mapping[str, Any] | None = None,
    distribute: Distribute | None = None,
    console: Console | None = None,
) -> bool:
    """Decode everything on all processors, print the bad samples by reason, and add them to a quarantine file.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        quarantine: The file; it is made only if a sample is bad.
        fields: The fields that each sample must have, as ``ZoomLoader`` takes them.
        beside: Members that each sample must have, too; none of them is taken for the image.
        max_pixels: The largest number of pixels of an image; None for the loader's own limit.
        rule: How stored values become grey levels. An image that still needs a window is bad.
        storage_options: For remote shards.
        distribute: Where shards are decoded, each by itself; None for all of them in this process.
        console: Where it is printed; None for standard output.

    Returns:
        Whether any sample or shard is bad.

    Raises:
        ShardError: A shard cannot be read at all.
        ValueError: The quarantine file is not a quarantine file.
    """
    console, file = console or Console(), Quarantine(quarantine)
    known = KnownSamples(file.read())
    started = time.perf_counter()
    num_threads = None if distribute is None else 1  # of a cluster, a processor for each shard under way
    job = _Job(tuple(fields), tuple(beside), max_pixels or MAX_PIXELS, rule, storage_options, num_threads)
    with progress_bar(console) as progress:
        if distribute is None:
            found = [_verify(job, urls, lambda loader: progress.track(loader, description="Decoding"))]
        else:
            shards = expand_urls(urls, storage_options=storage_options)
            done = progress.track(
                distribute(_verify_one, job, shards), total=len(shards), description="Decoding"
            )
            found = [one for _, one in done]
    bad = sorted(sample for one in found for sample in one.bad)
    warned = [each for one in found for each in one.warned]
    for message, _ in warned:
        console.print(message, soft_wrap=True, markup=False, highlight=False)
    print_findings(console, map(_kind_and_place, bad), what="samples")
    file.add(sample for sample in bad if sample not in known)  # after they are printed: it may be impossible
    summary = _summary([one.stats for one in found], len(bad), time.perf_counter() - started, file.path)
    console.print(summary, soft_wrap=True)
    brightest = max((one.brightest for one in found), default=0)
    if any(one.stats.images for one in found) and brightest <= _DARK:
        console.print(_darkness(brightest), soft_wrap=True, markup=False, highlight=False)
    return bool(bad) or any(missing for _, missing in warned)


def _verify_one(job: _Job, url: str) -> _Found:
    """Verify a shard, perhaps in a worker on some node, on the processors that are its own."""
    return _verify(job, [url], iter)


def _verify(job: _Job, urls: Sequence[str], track: Callable[[ZoomLoader], Iterable[object]]) -> _Found:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ShardWarning)
        glance = _Glance(job.beside)
        loader = ZoomLoader(
            urls,
            glance,
            batch_size=_BATCH_SIZE,
            fields=job.fields,
            on_bad="drop",
            max_bad_fraction=1.0,
            max_pixels=job.max_pixels,
            window=job.rule.window,
            bands=job.rule.bands,
            color=job.rule.color,
            device="cpu",
            num_threads=job.num_threads,
            rank=0,
            world_size=1,
            storage_options=job.storage_options,
        )
        warned = [
            (str(warning.message), not issubclass(warning.category, IndexWarning)) for warning in caught
        ]
        with loader, quiet_codecs():
            for _ in track(loader):
                pass
    return _Found(loader.bad_samples, warned, loader.stats, glance.brightest)


def _kind_and_place(bad: BadSample) -> tuple[str, str]:
    detail = bad.reason.partition(": ")[2]
    return bad.fault, ": ".join(filter(None, (Path(bad.url).name, bad.key, detail)))


def _summary(stats: Sequence[LoaderStats], bad: int, seconds: float, path: Path) -> str:
    images, pillow, pixels = (
        sum(getattr(one, name) for one in stats) for name in ("images", "pillow", "pixels")
    )
    found = f"{bad:,} bad, listed in {path}" if bad else "none bad"
    by_pillow = f", {pillow:,} of them by Pillow, as DALI refuses them" if pillow else ""
    return (
        f"{images:,} images decoded{by_pillow}; {found}. {pixels / 1e6:,.0f} megapixels in {seconds:.1f} s."
    )


def _darkness(brightest: int) -> str:
    return (
        f"No pixel of these images is brighter than {brightest} of 255: they use a small part of what their files can hold. "
        "Say with --window which stored values become black and white, e.g. --window 0:4095 for 12 bits in files of 16."
    )
