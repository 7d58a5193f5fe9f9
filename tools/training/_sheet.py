"""How a zoom in training sees validation images: a sheet for each epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from foveal.pipeline import Boxes, PixelRule
from foveal.pipeline.decoding import PLAIN
from foveal.sampler import SaliencySampler, UniformSampler
from foveal.sampler.zooms import unwrapped
from foveal.shards import Shards
from foveal.tools.pictures.sheet import draw_sheet
from foveal.tools.pictures.view_row import view_rows

_ROWS = 5


def draw_validation(
    urls: str | Sequence[str],
    zoom: nn.Module,
    path: Path,
    *,
    image: str = "image",
    rule: PixelRule = PLAIN,
    storage_options: Mapping[str, Any] | None = None,
    cache_size: int | str | None = None,
) -> None:
    """Draw some samples as the zoom sees them now; draw nothing for samplers that do not return images.

    Args:
        urls: Shards.
        zoom: In evaluation mode.
        path: The PNG.
        image: The field that is the image.
        rule: How samples become grey levels.
        storage_options: For remote shards.
        cache_size: Room for copies of them.

    Raises:
        ShardError: A shard cannot be read, or no sample is good.
    """
    zoom = unwrapped(zoom)
    if not isinstance(zoom, SaliencySampler | UniformSampler):
        return
    source = getattr(zoom, "boxes_from", None)
    boxes = None if source is None else Boxes(source)
    with Shards(urls, storage_options=storage_options, cache_size=cache_size) as shards:
        # The loader reports the bad samples.
        rows, _ = view_rows(shards, _ROWS, zoom, boxes, image=image, rule=rule)
        draw_sheet(rows, path)
