"""The contact sheet of zoomed shards: the written images, read back, beside the originals."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from foveal.pipeline import decode
from foveal.pipeline.fields import alternatives
from foveal.sampler import UniformSampler, ZoomRecord
from foveal.sampler.zooms import map_from_json
from foveal.shards import Sample, Shards
from foveal.shards.store import Store
from foveal.tools.offline._zoomed_sample import zoomed_names
from foveal.tools.offline.shard import Job
from foveal.tools.offline.shard_files import OK, RECORD, parse_table, table_name
from foveal.tools.pictures.magnification import magnification
from foveal.tools.pictures.originals import read_boxes, read_originals, spread_evenly
from foveal.tools.pictures.patch_row import PATCH_TITLES, patch_row
from foveal.tools.pictures.sheet import TITLES, SheetRow, as_picture, sheet_png

_ROWS = 5


def draw_zoomed(job: Job, originals: Shards, names: Sequence[str], store: Store) -> bytes:
    """Return a PNG of some samples, spread evenly over all.

    Args:
        job: How they were made.
        originals: What they were made of.
        names: Of the zoomed shards, in the order of the originals.
        store: Where they are.
    """
    zoomed = Shards([store.url_of(name) for name in names], storage_options=job.storage_options)
    rows = []
    for pick in spread_evenly(_ROWS, len(zoomed)):
        ordinal = _ordinal(originals, zoomed, pick, store)
        row = _row if job.recipe.patches is None else _patch_row
        rows.append(row(job, originals, ordinal, zoomed[pick]))
    return sheet_png(rows, titles=TITLES if job.recipe.patches is None else PATCH_TITLES)


def _ordinal(originals: Shards, zoomed: Shards, pick: int, store: Store) -> int:
    """Return the original that a zoomed sample was made from: the table of its shard says which ones failed."""
    name = zoomed[pick].url.rpartition("/")[2]
    shard = int(np.searchsorted(np.cumsum(zoomed.counts), pick, side="right"))
    table = parse_table(store.read(table_name(name)))
    good = [place for place, row in enumerate(table) if row.status == OK]
    return int(originals.counts[:shard].sum()) + good[pick - int(zoomed.counts[:shard].sum())]


def _patch_row(job: Job, originals: Shards, ordinal: int, zoomed: Sample) -> SheetRow:
    [original] = read_originals(originals, [ordinal], image=job.recipe.image, rule=job.recipe.rule)
    record = json.loads(zoomed.members[RECORD])
    patches = torch.from_numpy(np.stack(_pixels(job, zoomed.members))).permute(0, 3, 1, 2)
    return patch_row(
        original,
        patches,
        scores=map_from_json(record).numpy(),
        corners=np.array(record["patches"], np.float32),
        even=math.isqrt(len(patches) * job.recipe.out_size**2),  # with the same number of pixels
        caption=[zoomed.key],
    )


def _row(job: Job, originals: Shards, ordinal: int, zoomed: Sample) -> SheetRow:
    [original] = read_originals(originals, [ordinal], image=job.recipe.image, rule=job.recipe.rule)
    height, width, _ = original.shape
    record = ZoomRecord.from_json(json.loads(zoomed.members[RECORD]))
    grid = record.grid()[0].numpy()
    facts = (
        zoomed.key,
        f"{width} × {height} → {grid.shape[1]} × {grid.shape[0]}",
        f"zooms in up to {magnification(grid):.1f}×",
    )
    return SheetRow(
        original=original.numpy(),
        grid=grid,
        saliency=record.saliency.numpy(),
        uniform=as_picture(UniformSampler(record.out_size)([original]).images[0]),
        zoomed=_pixels(job, zoomed.members)[0],
        caption="   ".join(facts),
        **_boxes(job, originals[ordinal], zoomed, record),
    )


def _boxes(job: Job, original: Sample, zoomed: Sample, record: ZoomRecord) -> dict[str, Any]:
    """Return the first of the box fields that were warped, before and after."""
    if not job.recipe.boxes:
        return {}
    field = job.recipe.box_fields[0]
    before = read_boxes(original, field, record.source_size)
    kept = json.loads(zoomed.members[RECORD])["kept"][field.source]
    return {
        "boxes": before.corners.numpy(),
        "zoomed_boxes": read_boxes(zoomed, field, record.out_size).corners.numpy(),
        "kept": [before.places.tolist().index(place) for place in kept],
    }


def _pixels(job: Job, members: Mapping[str, bytes]) -> list[Float[np.ndarray, "height width 3"]]:
    """Return a sample's zoomed image, or all of its patches."""
    sources = (zoomed_names(source, job.recipe) for source in alternatives(job.recipe.image))
    [names] = [names for names in dict.fromkeys(map(tuple, sources)) if names[0] in members]
    files = [members[name] for name in names]
    if job.recipe.format == "npy":
        images = [np.lib.format.read_array(io.BytesIO(file), allow_pickle=False) for file in files]
    else:
        images = [image.numpy() for image in decode(files)]
    return [image.astype(np.float32) / (255 if image.dtype == np.uint8 else 1) for image in images]
