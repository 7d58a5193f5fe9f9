"""``foveal view``: draw how a zoom shows some images of a data set, with their boxes, on one sheet."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from foveal.pipeline import Boxes, PixelRule
from foveal.pipeline.decoding import PLAIN
from foveal.pipeline.fields import warn_if_absent
from foveal.sampler import SaliencySampler, UniformSampler
from foveal.tools.console.progress import progress_bar
from foveal.tools.pictures.check_png import check_png
from foveal.tools.pictures.originals import open_shards, spread_evenly
from foveal.tools.pictures.sheet import draw_sheet
from foveal.tools.pictures.view_row import view_rows

_MOST_TOLD = 5


def view_shards(
    urls: Sequence[str],
    zoom: SaliencySampler | UniformSampler,
    *,
    out: Path,
    rows: int = 5,
    boxes: Boxes | None = None,
    image: str = "image",
    rule: PixelRule = PLAIN,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Draw a sheet: original with grid and boxes over it, saliency, uniform resize, zoomed with its boxes.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        zoom: The zoom to show.
        out: The PNG file to write.
        rows: How many samples to draw, spread evenly over all.
        boxes: The field that holds each sample's boxes; None to draw no boxes.
        image: The field that is the image.
        rule: How stored values become grey levels.
        storage_options: For remote shards.

    Raises:
        ShardError: A shard cannot be read, there are no samples, or none is good.
        ValueError: The file to write is not called a PNG.

    Warns:
        UserWarning: None of the drawn samples has the member that the boxes are in.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    check_png(out)
    shards = open_shards(urls, storage_options=storage_options)
    with progress_bar(console) as progress:
        task = progress.add_task("Zooming", total=min(rows, len(shards)))
        advance = partial(progress.advance, task)
        drawn, bad = view_rows(shards, rows, zoom, boxes, image=image, rule=rule, advance=advance)
    if boxes is not None and not any(len(row.boxes) for row in drawn):
        warn_if_absent(boxes, (shards[pick].members for pick in spread_evenly(rows, len(shards))))
    draw_sheet(drawn, out)
    for error in bad[:_MOST_TOLD]:
        console.print(f"Not shown: {error}")
    if len(bad) > _MOST_TOLD:
        console.print(f"Not shown either: {len(bad) - _MOST_TOLD} more – run `foveal verify` on the shards.")
    console.print(f"{len(drawn)} of {len(shards):,} samples\n{zoom.extra_repr()}\nThe picture: {out}")
