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
    """For each name, for each image its k labels: (k,) int64 if all of the batch are integers, (k,) float32 if all are
    numbers, else a list."""


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


def labels_as_tensors(values: Sequence[list[Any]], boxes: Sequence[Tensor]) -> list[Any]:
    """Return the labels of each image as tensors beside its boxes if all of the batch are numbers, else as lists."""
    kinds = {type(value) for each in values for value in each}
    if not kinds <= {int, float, bool}:
        return list(values)
    dtype = torch.float32 if float in kinds else torch.int64
    try:
        tensors = [torch.tensor(each, dtype=dtype) for each in values]
    except (RuntimeError, ValueError, OverflowError):  # integers of more than 64 bits
        return list(values)
    return [to_device(labels, of.device) for labels, of in zip(tensors, boxes, strict=True)]
