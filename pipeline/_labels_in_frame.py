"""Labels among the entries of somebody's samples that lie in the image: what a zoom of the image alone would leave behind."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

# What data sets call them.
_NAMES = frozenset(
    {
        "bbox", "bboxes", "boxes", "keypoints", "kps", "landmarks", "mask", "masks", "points", "polygon", "polygons",
        "seg", "segmentation", "semantic", "semantic_mask",
    }
)  # fmt: skip
_TV_TENSORS = frozenset({"BoundingBoxes", "KeyPoints", "Mask"})


def labels_in_frame(sample: Mapping[Any, Any], image: Any) -> list[str]:
    """Return the entries of a sample that say where something is in its image, told by name, type or shape.

    Args:
        sample: Its entries, by name or by place.
        image: Which of them is the image.
    """
    others = {name: value for name, value in sample.items() if name != image}
    return list(_found(others, "", _size(sample[image])))


def _found(entries: Mapping[Any, Any], above: str, size: tuple[int, int] | None) -> Iterator[str]:
    for name, value in entries.items():
        where = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _found(value, f"{where}.", size)
        elif _is_located(name, value, size):
            yield where


def _is_located(name: Any, value: Any, size: tuple[int, int] | None) -> bool:
    kind = type(value)
    if kind.__module__.startswith("torchvision.tv_tensors"):
        return kind.__name__ in _TV_TENSORS
    named = isinstance(name, str) and not _NAMES.isdisjoint(name.lower().split("."))
    if named and not isinstance(value, str | int | float | bool | None):
        return True
    return size is not None and not _has_colours(value) and _size(value) == size


def _size(value: Any) -> tuple[int, int] | None:
    """Return the (height, width) of pixels that are decoded, None for all else."""
    if isinstance(value, Image.Image):
        return value.height, value.width
    if not isinstance(value, Tensor | np.ndarray):
        return None
    shape = tuple(value.shape)
    if len(shape) == 3 and shape[0] in (1, 3):
        return shape[1], shape[2]
    return (shape[0], shape[1]) if len(shape) in (2, 3) else None


def _has_colours(value: Any) -> bool:
    """Another picture beside the image is no label."""
    if isinstance(value, Image.Image):
        return len(value.getbands()) > 1
    return (
        isinstance(value, Tensor | np.ndarray) and value.ndim == 3 and 3 in (value.shape[0], value.shape[2])
    )
