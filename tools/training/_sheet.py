"""How a zoom in training sees validation images: a sheet for each epoch."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from foveal.pipeline import Boxes, PixelRule
from foveal.pipeline.decode import PLAIN
from foveal.sampler import SaliencySampler, UniformSampler
from foveal.shards import Shards
from foveal.tools.pictures.originals import spread_evenly
from foveal.tools.pictures.sheet import draw_sheet
from foveal.tools.pictures.view_row import view_row

_ROWS = 5


def draw_validation(
    urls: str | Sequence[str], zoom: nn.Module, path: Path, *, rule: PixelRule = PLAIN
) -> None:
    """Draw some samples as the zoom sees them now; nothing for samplers whose answer is no image.

    Args:
        urls: Shards.
        zoom: In evaluation mode.
        path: The PNG.
        rule: How samples become grey levels.
    """
    if not isinstance(zoom, SaliencySampler | UniformSampler):
        return
    source = getattr(zoom, "boxes_from", None)
    boxes = None if source is None else Boxes(source)
    with Shards(urls) as shards:
        picks = spread_evenly(_ROWS, len(shards))
        draw_sheet([view_row(shards, pick, zoom, boxes, rule) for pick in picks], path)
