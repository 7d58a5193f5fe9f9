"""The contact sheet of zoomed shards: read back from what was written, beside the originals."""

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from foveal.pipeline import Boxes, decode
from foveal.pipeline._members import alternatives, find_member
from foveal.sampler import UniformSampler, ZoomRecord
from foveal.shards import Sample, Shards
from foveal.shards._store import Store
from foveal.tools._originals import read_boxes, read_originals, spread_evenly
from foveal.tools._shard_files import OK, parse_table, table_name
from foveal.tools._sheet import SheetRow, as_picture, draw_sheet, magnification
from foveal.tools._zoom_shard import Job
from foveal.tools._zoomed_sample import RECORD, zoomed_name

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
        rows.append(_row(job, originals, ordinal, zoomed[pick]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.png"
        draw_sheet(rows, path)
        return path.read_bytes()


def _ordinal(originals: Shards, zoomed: Shards, pick: int, store: Store) -> int:
    """Return which of the originals a zoomed sample was made of: the table of its shard says which ones failed."""
    name = zoomed[pick].url.rpartition("/")[2]
    shard = int(np.searchsorted(np.cumsum(zoomed.counts), pick, side="right"))
    table = parse_table(store.read(table_name(name)))
    good = [place for place, row in enumerate(table) if row.status == OK]
    return int(originals.counts[:shard].sum()) + good[pick - int(zoomed.counts[:shard].sum())]


def _row(job: Job, originals: Shards, ordinal: int, zoomed: Sample) -> SheetRow:
    [original] = read_originals(originals, [ordinal])
    height, width, _ = original.shape
    kept = json.loads(zoomed.members[RECORD])
    record = ZoomRecord.from_json(kept)
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
        zoomed=_pixels(job, zoomed.members),
        caption="   ".join(facts),
        **_boxes(job, originals[ordinal], zoomed, kept),
    )


def _boxes(job: Job, original: Sample, zoomed: Sample, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first kind of boxes that followed the zoom, before and after."""
    if not job.recipe.boxes:
        return {}
    field = Boxes(job.recipe.boxes[0], format=job.recipe.box_format)
    return {
        "boxes": read_boxes(original, field).numpy(),
        "zoomed_boxes": read_boxes(zoomed, field).numpy(),
        "kept": record["kept"][field.source],
    }


def _pixels(job: Job, members: Mapping[str, bytes]) -> Float[np.ndarray, "height width 3"]:
    names = [zoomed_name(source, job.recipe) for source in alternatives(job.recipe.image)]
    image = members[find_member(names, members)]
    if job.recipe.format == "npy":
        pixels = np.lib.format.read_array(io.BytesIO(image), allow_pickle=False)
    else:
        pixels = decode([image])[0].numpy()
    return pixels.astype(np.float32) / 255
