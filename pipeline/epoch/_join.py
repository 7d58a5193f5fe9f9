"""Joins zoomed micro-batches to a batch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from foveal.pipeline.epoch._gather import Gather
from foveal.pipeline.epoch._micro_batch import ZoomedBatch
from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.fields import Field, Fields, SpatialField, collate
from foveal.pipeline.flow import Buffers, LoaderStats, to_device

Batch = Any  # a tuple in the order of the fields, or a dict if the fields are named


class Joiner:
    """Collects the parts of a batch, and keeps of a zoom's results only those that the fields name.

    Args:
        fields: What a batch consists of.
        capacity: The largest number of samples of a batch.
        buffers: Memory for batches; None if they carry graphs or are on another device.
        example: Returns a plain field of some sample, if a batch has none.
    """

    _samples: list[EncodedSample]

    def __init__(
        self, fields: Fields, capacity: int, buffers: Buffers | None, example: Callable[[str], Any]
    ) -> None:
        self._fields = fields
        self._example = example
        self._images = Gather(capacity, buffers)
        self._wanted = {
            name: Gather(capacity, buffers) for name in ("grid", "saliency") if f"__{name}__" in fields.names
        }
        self._begin()

    def _begin(self) -> None:
        self._samples = []
        self._sizes: list[tuple[int, int]] = []
        self._views: list[Tensor] = []
        self._warped: list[dict[SpatialField, Any]] = []

    def add(self, part: ZoomedBatch) -> None:
        """Take a zoomed micro-batch."""
        self._images.add(part.zoomed.images)
        for name, gather in self._wanted.items():
            gather.add(getattr(part.zoomed, name))
        self._samples += [replace(sample, located={}) for sample in part.samples]
        self._sizes += part.sizes
        self._views += [] if part.views is None else [part.views]
        self._warped.append(part.labels)

    def take(self, stats: LoaderStats) -> Batch:
        """Return the batch, count it, and begin another."""
        stats.images += len(self._samples)
        stats.substituted += sum(sample.slot.tries > 0 for sample in self._samples)
        stats.bytes += sum(sample.size for sample in self._samples)
        stats.pixels += sum(height * width for height, width in self._sizes)
        batch = self._joined()
        self._begin()
        return batch

    def _joined(self) -> Batch:
        images = self._images.take()
        wanted = {name: gather.take() for name, gather in self._wanted.items()}
        samples = self._samples
        own: dict[str, Any] = {
            "__key__": lambda: [sample.key for sample in samples],
            "__url__": lambda: [sample.url for sample in samples],
            "__index__": lambda: torch.tensor([sample.ordinal for sample in samples], dtype=torch.int64),
            "__members__": lambda: [sample.members for sample in samples],
            "__size__": lambda: torch.tensor(self._sizes, dtype=torch.int64).reshape(-1, 2),
            "__valid__": lambda: torch.tensor([sample.valid for sample in samples], dtype=torch.bool),
            "__grid__": lambda: wanted["grid"],
            "__saliency__": lambda: wanted["saliency"],
            "__view__": lambda: (
                torch.cat(self._views) if self._views else torch.eye(2, 3).repeat(len(samples), 1, 1)
            ),
        }

        def field(name: Field) -> Any:
            if isinstance(name, SpatialField):
                return name.join([part[name] for part in self._warped])
            if self._fields.is_image(name):
                return images
            if name in own:
                value = own[name]()
            else:
                value = collate(name, [sample.labels[name] for sample in samples], self._example)
            return to_device(value, images.device) if isinstance(value, Tensor) else value

        values = tuple(field(name) for name in self._fields.names)
        return values if self._fields.keys is None else dict(zip(self._fields.keys, values, strict=True))
