"""``foveal verify``: decode every image as the loader does, and list the bad samples."""

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from foveal.pipeline import BadSample, LoaderStats, Quarantine, ZoomLoader
from foveal.pipeline.decode import MAX_PIXELS, PLAIN, PixelRule
from foveal.pipeline.fields import Field
from foveal.sampler import Zoomed
from foveal.shards import ShardWarning
from foveal.tools.console.print_findings import print_findings
from foveal.tools.console.progress import progress_bar
from foveal.tools.console.quiet_codecs import quiet_codecs

_BATCH_SIZE = 16


class _Glance(nn.Module):
    """A zoom that returns empty images, because verifying only needs the decoding."""

    def forward(self, images: Sequence[Tensor], lowres: None = None) -> Zoomed:  # noqa: ARG002 - as any zoom
        count = len(images)
        grid = torch.zeros(count, 1, 1, 2)  # the smallest grid by which labels can be warped
        return Zoomed(torch.empty(count, 3, 0, 0), grid, torch.empty(count, 1, 0, 0))


def verify_shards(
    urls: Sequence[str],
    *,
    quarantine: str | os.PathLike[str],
    fields: Sequence[Field] = ("image",),
    max_pixels: int | None = None,
    rule: PixelRule = PLAIN,
    storage_options: Mapping[str, Any] | None = None,
) -> bool:
    """Decode everything on all processors, print the bad samples by reason, and add them to a quarantine file.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        quarantine: The file; it is made only if a sample is bad.
        fields: The fields that each sample must have, as ``ZoomLoader`` takes them.
        max_pixels: The largest number of pixels of an image; None for the loader's own limit.
        rule: How stored values become grey levels. An image that still needs a window is bad.
        storage_options: For remote shards.

    Returns:
        Whether any sample or shard is bad.

    Raises:
        ShardError: A shard cannot be read at all.
        ValueError: The quarantine file is not a quarantine file.
    """
    console, file = Console(), Quarantine(quarantine)
    known = set(file.read())
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ShardWarning)
        loader = ZoomLoader(
            urls,
            _Glance(),
            batch_size=_BATCH_SIZE,
            fields=fields,
            on_bad="drop",
            max_bad_fraction=1.0,
            max_pixels=max_pixels or MAX_PIXELS,
            window=rule.window,
            bands=rule.bands,
            color=rule.color,
            device="cpu",
            rank=0,
            world_size=1,
            storage_options=storage_options,
        )
        damaged = [str(warning.message) for warning in caught]
        with loader, quiet_codecs(), progress_bar(console) as progress:
            for _ in progress.track(loader, description="Decoding"):
                pass
    bad, seconds = sorted(loader.bad_samples), time.perf_counter() - started
    file.add(sample for sample in bad if sample not in known)
    for message in damaged:
        console.print(message, soft_wrap=True, markup=False, highlight=False)
    print_findings(console, map(_kind_and_place, bad), what="samples")
    console.print(_summary(loader.stats, len(bad), seconds, file.path), soft_wrap=True)
    return bool(bad or damaged)


def _kind_and_place(bad: BadSample) -> tuple[str, str]:
    detail = bad.reason.partition(": ")[2]
    return bad.fault, ": ".join(filter(None, (Path(bad.url).name, bad.key, detail)))


def _summary(stats: LoaderStats, bad: int, seconds: float, path: Path) -> str:
    found = f"{bad:,} bad, listed in {path}" if bad else "none bad"
    by_pillow = f", {stats.pillow:,} of them by Pillow, as DALI refuses them" if stats.pillow else ""
    return (
        f"{stats.images:,} images decoded{by_pillow}; {found}. "
        f"{stats.pixels / 1e6:,.0f} megapixels in {seconds:.1f} s."
    )
