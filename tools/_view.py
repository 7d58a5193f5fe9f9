"""``foveal view``: some images of a data set as a zoom shows them, with their boxes, on one sheet."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from foveal.pipeline import Boxes, PixelRule
from foveal.pipeline.decode import PLAIN
from foveal.sampler import SaliencySampler, UniformSampler
from foveal.shards import Shards
from foveal.tools.console.progress import progress_bar
from foveal.tools.pictures.originals import spread_evenly
from foveal.tools.pictures.sheet import draw_sheet
from foveal.tools.pictures.view_row import view_row


def view_shards(
    urls: Sequence[str],
    zoom: SaliencySampler | UniformSampler,
    *,
    out: Path,
    rows: int = 5,
    boxes: Boxes | None = None,
    rule: PixelRule = PLAIN,
) -> None:
    """Draw a sheet: original with grid and boxes over it, saliency, uniform resize, zoomed with its boxes.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        zoom: What is looked at.
        out: The picture, a PNG.
        rows: How many samples, spread evenly over all.
        boxes: Where each sample's boxes are; None for none.
        rule: How samples become grey levels.

    Raises:
        ShardError: A shard or one of these samples cannot be read, or its boxes are none.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    shards = Shards(urls)
    picks = spread_evenly(rows, len(shards))
    with progress_bar(console) as progress:
        drawn = [
            view_row(shards, pick, zoom, boxes, rule) for pick in progress.track(picks, description="Zooming")
        ]
    draw_sheet(drawn, out)
    console.print(f"{len(drawn)} of {len(shards):,} samples\n{zoom.extra_repr()}\nThe picture: {out}")
