"""``foveal view``: some images of a data set as a zoom shows them, with their boxes, on one sheet."""

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from foveal.pipeline import Boxes
from foveal.sampler import SaliencySampler, UniformSampler, Zoomed, warp_boxes
from foveal.shards import Shards
from foveal.tools._originals import read_boxes, read_originals, spread_evenly
from foveal.tools._progress import progress_bar
from foveal.tools._sheet import SheetRow, as_picture, draw_sheet, magnification


def view_shards(
    urls: Sequence[str],
    zoom: SaliencySampler | UniformSampler,
    *,
    out: Path,
    rows: int = 5,
    boxes: Boxes | None = None,
) -> None:
    """Draw a sheet: original with grid and boxes over it, saliency, uniform resize, zoomed with its boxes.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        zoom: What is looked at.
        out: The picture, a PNG.
        rows: How many samples, spread evenly over all.
        boxes: Where each sample's boxes are; None for none.

    Raises:
        ShardError: A shard or one of these samples cannot be read, or its boxes are none.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    shards = Shards(urls)
    picks = spread_evenly(rows, len(shards))
    with progress_bar(console) as progress:
        drawn = [view_row(shards, pick, zoom, boxes) for pick in progress.track(picks, description="Zooming")]
    draw_sheet(drawn, out)
    console.print(f"{len(drawn)} of {len(shards):,} samples\n{zoom.extra_repr()}\nThe picture: {out}")


def view_row(
    shards: Shards, ordinal: int, zoom: SaliencySampler | UniformSampler, boxes: Boxes | None
) -> SheetRow:
    """Return a row of the sheet: a sample as the zoom shows it, beside its original."""
    [original] = read_originals(shards, [ordinal])
    found = torch.zeros(0, 4) if boxes is None else read_boxes(shards[ordinal], boxes)
    height, width, _ = original.shape
    with torch.no_grad():
        told = {} if getattr(zoom, "boxes_from", None) is None else {"boxes": [found / _corner(original)]}
        zoomed: Zoomed = zoom([original], **told)
        uniform = UniformSampler(zoom.out_size)([original]).images[0]
    [seen], [kept] = warp_boxes([found], zoomed.grid, (height, width))
    grid = zoomed.grid[0].numpy()
    shown = f"{len(kept)} of {len(found)} boxes" if boxes else ""
    facts = (
        shards[ordinal].key,
        f"{width} × {height} → {grid.shape[1]} × {grid.shape[0]}",
        f"zooms in up to {magnification(grid):.1f}×",
        shown,
    )
    return SheetRow(
        original=original.numpy(),
        grid=grid,
        saliency=zoomed.saliency[0, 0].numpy(),
        uniform=as_picture(uniform),
        zoomed=as_picture(zoomed.images[0]),
        caption="   ".join(filter(None, facts)),
        boxes=found.numpy(),
        zoomed_boxes=seen.numpy(),
        kept=kept.tolist(),
    )


def _corner(image: Tensor) -> Tensor:
    """Return (width, height, width, height): what boxes are divided by to be fractions."""
    height, width, _ = image.shape
    return torch.tensor([width, height, width, height])
