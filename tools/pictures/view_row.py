"""The row of one sample, as a zoom shows it."""

import torch
from torch import Tensor

from foveal.pipeline import Boxes, PixelRule
from foveal.pipeline.decode import PLAIN
from foveal.sampler import SaliencySampler, UniformSampler, Zoomed, warp_boxes
from foveal.shards import Shards
from foveal.tools.pictures.originals import read_boxes, read_originals
from foveal.tools.pictures.sheet import SheetRow, as_picture, magnification


def view_row(
    shards: Shards,
    ordinal: int,
    zoom: SaliencySampler | UniformSampler,
    boxes: Boxes | None,
    rule: PixelRule = PLAIN,
) -> SheetRow:
    """Return a row of the sheet: a sample as the zoom shows it, beside its original."""
    [original] = read_originals(shards, [ordinal], rule=rule)
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
