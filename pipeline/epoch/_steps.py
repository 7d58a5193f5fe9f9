"""The work on a few decoded images, in any thread: make small copies for the saliency network, then zoom the images and their labels."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foveal.pipeline.copies import Copies
from foveal.pipeline.epoch._lost_saliency import check_saliency
from foveal.pipeline.epoch._micro_batch import DecodedBatch, ZoomedBatch
from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.fields import Fields, collate, warp_labels
from foveal.pipeline.flow import LoaderStats, to_device
from foveal.sampler import ZoomNeeds

View = Callable[[int, tuple[int, int]], Tensor]
"""Returns the view of a sample that is passed to the zoom, given its number and its size."""


@dataclass(frozen=True, slots=True)
class Looking:
    """Makes the low-resolution copies for a zoom.

    Attributes:
        needs: What the zoom needs.
        device: The device of the images.
        view: Returns the view of a sample; None for whole images.
        stats: Where time is counted.
    """

    needs: ZoomNeeds
    device: torch.device
    view: View | None
    stats: LoaderStats

    def __call__(
        self, samples: list[EncodedSample], images: list[Tensor], *, ends_batch: bool, share: int = 0
    ) -> DecodedBatch:
        """Return the images and their copies; ``share`` is their share of the budget if it is to be returned after the zoom."""
        with self.stats.timed("lowres"):
            encoded = [sample.image for sample in samples]
            sizes = [image.original_size(pixels) for image, pixels in zip(encoded, images, strict=True)]
            views = self._views(samples, sizes)
            copies = Copies(
                encoded, images, views, takes_views=self.needs.takes_views, takes_deep=self.needs.takes_deep
            )
            return DecodedBatch(samples, ends_batch, copies, sizes, views, self._look(copies), share)

    def _views(self, samples: list[EncodedSample], sizes: list[tuple[int, int]]) -> Tensor | None:
        if self.view is None:
            return None
        views = [self.view(sample.ordinal, size) for sample, size in zip(samples, sizes, strict=True)]
        return (
            to_device(torch.stack(views), self.device) if views else torch.empty(0, 2, 3, device=self.device)
        )

    def _look(self, copies: Copies) -> Tensor | None:
        size = self.needs.lowres_size
        if size is None or copies.images:
            return copies.look(size)
        return torch.empty(0, 3, *size, device=self.device)


@dataclass(frozen=True, slots=True)
class Zooming:
    """Zooms images and their labels.

    Attributes:
        zoom: The sampler.
        fields: What a batch consists of.
        stats: Where time is counted.
        train: Whether the batch carries the graph to the zoom's parameters.
        example: Returns a plain field of some sample, if a batch has none.
    """

    zoom: nn.Module
    fields: Fields
    stats: LoaderStats
    train: bool
    example: Callable[[str], Any]

    def __call__(self, decoded: DecodedBatch) -> ZoomedBatch:
        """Return the zoomed images; nothing in the result refers to the decoded ones."""
        with self.stats.timed("zoom"), nullcontext() if self.train else torch.no_grad():
            zoomed = decoded.copies.zoom(
                self.zoom,
                decoded.lowres,
                boxes=_boxes(decoded, self.fields),
                maps=_maps(decoded, self.fields),
                condition=_condition(decoded, self.fields, self.example),
            )
            check_saliency(zoomed, self.zoom, [sample.key for sample in decoded.samples])
            located = [sample.located for sample in decoded.samples]
            labels = warp_labels(
                self.fields.spatial, located, zoomed.grid, decoded.sizes, views=decoded.views
            )
        return ZoomedBatch(decoded.samples, decoded.ends_batch, zoomed, labels, decoded.sizes, decoded.views)


def _boxes(decoded: DecodedBatch, fields: Fields) -> list[Tensor] | None:
    """Return the boxes that a zoom needs, as fractions of the originals; None if it needs none."""
    if fields.guide is None:
        return None
    boxes = [sample.located[fields.guide] for sample in decoded.samples]
    fractions = [fields.guide.in_fractions(*pair) for pair in zip(boxes, decoded.sizes, strict=True)]
    # A box far outside stays outside, because an invalid box must not stop an epoch.
    return [each.clamp(-1, 2) for each in fractions]


def _maps(decoded: DecodedBatch, fields: Fields) -> list[Tensor] | None:
    """Return the maps that a zoom needs, whose cells tile the originals; None if it needs none."""
    guide = fields.map_guide
    if guide is None:
        return None
    labels = [sample.located[guide] for sample in decoded.samples]
    return [guide.as_map(*pair) for pair in zip(labels, decoded.sizes, strict=True)]


def _condition(
    decoded: DecodedBatch, fields: Fields, example: Callable[[str], Any]
) -> tuple[Any, ...] | None:
    """Return the fields that a zoom needs besides the images, as in a batch; None if it needs none."""
    if not fields.condition:
        return None
    samples = decoded.samples
    values = (collate(name, [each.labels[name] for each in samples], example) for name in fields.condition)
    device = decoded.copies.device
    return tuple(to_device(value, device) if isinstance(value, Tensor) else value for value in values)
