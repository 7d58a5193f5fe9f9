"""Zooms one sample at a time. An image is decoded when it is first shown, and then kept for a while."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from foveal.pipeline.epoch import check_saliency
from foveal.sampler import UniformSampler, warp_boxes
from foveal.tools.console.sample_options import box_field, map_field
from foveal.tools.explore._settings import Settings, Source
from foveal.tools.pictures.originals import open_shards, read_boxes, read_needs, read_originals

# Images that are kept decoded: the one that is shown, and its neighbours.
_KEPT = 3
# The longer side of the original as it is drawn, in pixels: what is drawn over it is as fine on a small image as on a large one.
SHOWN_PX = 640


@dataclass(frozen=True, slots=True)
class Original:
    """A decoded sample.

    Attributes:
        key: Its key.
        image: Upright, RGB.
        small: A copy whose longer side has ``SHOWN_PX`` pixels, to draw on.
        boxes: (x0, y0, x1, y1) in pixels of the image.
    """

    key: str
    image: UInt8[Tensor, "height width 3"]
    small: UInt8[np.ndarray, "rows cols 3"]
    boxes: Float[Tensor, "count 4"]


@dataclass(frozen=True, slots=True)
class Look:
    """What the page shows of a sample.

    Attributes:
        original: The sample.
        zoomed: RGB in [0, 1], exactly what a loader delivers.
        uniform: The whole image at the same size.
        grid: Where each output pixel looks: (x, y) in [-1, 1] of the original.
        saliency: The saliency map that the grid follows, in the frame of the view.
        view: From [-1, 1] of the view to [-1, 1] of the original; None for the whole original.
        boxes: Those boxes that the zoomed image shows, in its pixels.
        kept: Which of the original's boxes they are.
    """

    original: Original
    zoomed: Float[Tensor, "3 height width"]
    uniform: Float[Tensor, "3 height width"]
    grid: Float[np.ndarray, "height width 2"]
    saliency: Float[Tensor, "rows cols"]
    view: Float[Tensor, "2 3"] | None
    boxes: Float[np.ndarray, "kept 4"]
    kept: list[int]

    def source_px_at(self, row: int, col: int) -> tuple[float, float]:
        """Return the width and height in source pixels of what an output pixel shows."""
        height, width, _ = self.original.image.shape
        top, left = max(row - 1, 0), max(col - 1, 0)
        steps = np.gradient(self.grid[top : row + 2, left : col + 2], axis=(0, 1))
        down, across = (step[row - top, col - left] * (width / 2, height / 2) for step in steps)
        return float(np.hypot(*across)), float(np.hypot(*down))


class Looker:
    """Decodes and zooms the samples of some shards. Any number of threads may use it.

    Args:
        source: The shards, and where their boxes are.

    Raises:
        ShardError: A shard cannot be read, or they hold no sample.
        ValueError: The boxes or the map of the source make no sense.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._shards = open_shards(source.urls, storage_options=source.storage_options)
        self._boxes = None
        if source.boxes:
            self._boxes = box_field(source.boxes, source.box_format, source.box_frame)
        if source.saliency_member:
            map_field(source.saliency_member)  # an error now, not on the page
        self._kept: OrderedDict[int, Original] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self._shards)

    def look(self, number: int, settings: Settings) -> Look:
        """Zoom a sample.

        Raises:
            DataError: The sample is bad; the message has the reason.
            ValueError: A setting makes no sense.
        """
        original = self._original(number)
        zoom = settings.zoom(self.source)
        height, width, _ = original.image.shape
        views = self._views(number, settings, (height, width))
        told: dict[str, Any] = {} if views is None else {"views": views}
        with torch.no_grad():
            uniform = UniformSampler(settings.size)([original.image], **told)
            told |= read_needs(
                zoom, lambda: self._shards[number], self._boxes, original.boxes, (height, width)
            )
            zoomed = zoom([original.image], **told)
        check_saliency(zoomed, zoom, [self._shards.key(number)])
        [seen], [kept] = warp_boxes([original.boxes], zoomed.grid, (height, width), views=views)
        return Look(
            original,
            zoomed.images[0],
            uniform.images[0],
            zoomed.grid[0].numpy(),
            zoomed.saliency[0, 0],
            None if views is None else views[0],
            seen.numpy(),
            kept.tolist(),
        )

    def _views(self, number: int, settings: Settings, size: tuple[int, int]) -> Tensor | None:
        augment = settings.augment
        return None if augment is None else augment.view(size, (0, settings.epoch, number))[None]

    def _original(self, number: int) -> Original:
        with self._lock:
            if number not in self._kept:
                self._kept[number] = self._read(number)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(number)
            return self._kept[number]

    def _read(self, number: int) -> Original:
        if not 0 <= number < len(self):
            raise ValueError(f"number must be in [0, {len(self)}), got {number!r}.")
        sample = self._shards[number]
        [image] = read_originals(self._shards, [number], image=self.source.image, rule=self.source.rule)
        height, width, _ = image.shape
        boxes = torch.zeros(0, 4)
        if self._boxes is not None:
            boxes = read_boxes(sample, self._boxes, (height, width)).corners
        return Original(sample.key, image, _to_draw_on(image), boxes)


def _to_draw_on(image: UInt8[Tensor, "height width 3"]) -> UInt8[np.ndarray, "_rows _cols 3"]:
    height, width, _ = image.shape
    times = SHOWN_PX / max(height, width)
    size = max(1, round(times * width)), max(1, round(times * height))
    kind = Image.Resampling.BOX if times < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image.numpy()).resize(size, kind, reducing_gap=2.0))
