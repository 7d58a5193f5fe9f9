"""Rows of a sheet: samples as a zoom shows them."""

import itertools
from collections.abc import Callable

import torch

from foveal.pipeline import Boxes, PixelRule
from foveal.pipeline.decoding import PLAIN
from foveal.pipeline.epoch import check_saliency
from foveal.sampler import SaliencySampler, UniformSampler, Zoomed, warp_boxes
from foveal.shards import SampleError, Shards
from foveal.tools.pictures.magnification import magnification
from foveal.tools.pictures.originals import (
    read_boxes,
    read_needs,
    read_originals,
    spread_evenly,
)
from foveal.tools.pictures.sheet import SheetRow, as_picture

_TRIES = 20  # samples that are tried for a row


def view_rows(
    shards: Shards,
    count: int,
    zoom: SaliencySampler | UniformSampler,
    boxes: Boxes | None,
    *,
    image: str = "image",
    rule: PixelRule = PLAIN,
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[SheetRow], list[SampleError]]:
    """Return the rows of some samples, spread evenly over all. A bad sample is replaced by the first good one after it.

    Args:
        shards: Where they are.
        count: Number of rows.
        zoom: The sampler.
        boxes: Where each sample's boxes are; None for none.
        image: The field that is the image.
        rule: How samples become grey levels.
        advance: Called after each row.

    Returns:
        The rows (fewer if there are not enough good samples), and the errors of the bad samples.

    Raises:
        SampleError: None of those that were tried is good.
        ShardError: A shard cannot be read.
    """
    picks = spread_evenly(count, len(shards))
    rows: list[SheetRow] = []
    bad: list[SampleError] = []
    for pick, following in itertools.pairwise([*picks, len(shards)]):
        for ordinal in range(pick, min(max(pick + 1, following), pick + _TRIES)):
            try:
                rows.append(view_row(shards, ordinal, zoom, boxes, image=image, rule=rule))
            except SampleError as error:
                bad.append(error)
            else:
                break
        advance()
    if bad and not rows:
        raise bad[0]
    return rows, bad


def view_row(
    shards: Shards,
    ordinal: int,
    zoom: SaliencySampler | UniformSampler,
    boxes: Boxes | None,
    *,
    image: str = "image",
    rule: PixelRule = PLAIN,
) -> SheetRow:
    """Return a row of the sheet: a sample as the zoom shows it, beside its original."""
    [original] = read_originals(shards, [ordinal], image=image, rule=rule)
    height, width, _ = original.shape
    found = torch.zeros(0, 4)
    if boxes is not None:
        found = read_boxes(shards[ordinal], boxes, (height, width)).corners
    with torch.no_grad():
        told = read_needs(zoom, lambda: shards[ordinal], boxes, found, (height, width))
        zoomed: Zoomed = zoom([original], **told)
        check_saliency(zoomed, zoom, [shards.key(ordinal)])
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
