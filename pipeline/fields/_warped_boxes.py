"""Boxes of one image and of a batch, before and after warping."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from foveal.pipeline.fields.formats import LabelName
from foveal.pipeline.flow import to_device


class WarpedBoxes(NamedTuple):
    """The boxes of a batch in its zoomed images; unpacks as ``boxes, kept``."""

    boxes: list[Tensor]
    """For each image (k, 4) float32: (x0, y0, x1, y1) in pixels of the zoomed image, clipped to it; only boxes that it shows."""

    kept: list[Tensor]
    """For each image the (k,) int64 numbers of these boxes among those of the original, by which to select other labels."""


class LabelledBoxes(NamedTuple):
    """The boxes of a batch in its zoomed images, with their labels; unpacks as ``boxes, kept, labels``."""

    boxes: list[Tensor]
    """As :class:`WarpedBoxes` has them."""

    kept: list[Tensor]
    """As :class:`WarpedBoxes` has them."""

    labels: dict[LabelName, list[Any]]
    """For each name, for each image its k labels: a tensor (k,) if all labels of the batch are numbers, else a list. A tensor is
    float32 if its image's file has a float among these labels, be it of a box that is left out, else int64."""


class ImageBoxes(NamedTuple):
    """The boxes of one image."""

    corners: Tensor
    """(k, 4) float32: (x0, y0, x1, y1)."""

    places: Tensor
    """(k,) int64: their numbers among all boxes of the label file."""

    labels: dict[LabelName, list[Any]]
    """Their labels, each of length k."""

    size: tuple[int, int] | None = None
    """The (height, width) that the label file says its image has, if it does."""


class Column(NamedTuple):
    """One label of the boxes of one image."""

    values: list[Any]
    """Of the boxes that the zoomed image shows."""

    dtype: torch.dtype
    """That of their tensor, if they are numbers. It depends on the image's file alone, not on the zoom or the rest of the batch."""

    @classmethod
    def of(cls, values: Sequence[Any], shown: Sequence[int]) -> "Column":
        """Return the labels of the boxes that are shown, from those of all boxes in the file."""
        real = any(isinstance(value, float) for value in values)
        return cls([values[k] for k in shown], torch.float32 if real else torch.int64)


def labels_as_tensors(columns: Sequence[Column], boxes: Sequence[Tensor]) -> list[Any]:
    """Return the labels of each image as tensors beside its boxes if all of the batch are numbers, else as lists."""
    kinds = {type(value) for column in columns for value in column.values}
    if not kinds <= {int, float, bool}:
        return [column.values for column in columns]
    try:
        tensors = [torch.tensor(column.values, dtype=column.dtype) for column in columns]
    except (RuntimeError, ValueError, OverflowError):  # integers of more than 64 bits
        return [column.values for column in columns]
    return [to_device(labels, of.device) for labels, of in zip(tensors, boxes, strict=True)]
