"""Finds the entries of a sample that are labels in the image, and that would no longer fit if only the image were zoomed."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

LabelKind = Literal["boxes", "points", "mask"]

# The names of such labels in data sets.
_NAMES: dict[str, LabelKind] = {
    **dict.fromkeys(("bbox", "bboxes", "box", "boxes", "gt_bboxes", "gt_boxes"), "boxes"),
    **dict.fromkeys(
        (
            "keypoints", "kps", "landmarks", "point_coords", "points", "polygon", "polygons", "segmentation", "segmentations",
        ),
        "points",
    ),
    **dict.fromkeys(("gt_masks", "mask", "masks", "rle", "seg", "semantic", "semantic_mask"), "mask"),
}  # fmt: skip
_WITH_AREA = ("bbox", "segmentation")  # what COCO states an area beside
_TV_TENSORS = frozenset({"BoundingBoxes", "KeyPoints", "Mask"})
_ITEMS = 50  # items of a list that are examined: they are alike
_LEVELS = 12  # entries of a document that are examined


class FoundLabel(NamedTuple):
    """A label in a JSON document."""

    path: str
    """Where: ``annotations[].bbox``."""

    kind: LabelKind
    """Its kind, by its name."""

    value: Any
    """The first value."""


def kind_of_label(name: str) -> LabelKind | None:
    """Return the kind of label of an entry, by one of the parts of its name between dots; None if the name is of no label."""
    return next((_NAMES[part] for part in name.lower().split(".") if part in _NAMES), None)


def labels_in_document(document: Any) -> list[FoundLabel]:
    """Return the labels of a JSON document that are coordinates in the image, recognised by their names."""
    found: dict[str, FoundLabel] = {}
    for path, name, value in _entries(document, ""):
        kind = kind_of_label(name)
        if kind is not None and isinstance(value, list | dict) and value:
            kind = "mask" if isinstance(value, dict) and kind == "points" else kind  # run lengths
            found.setdefault(path, FoundLabel(path, kind, value))
    return list(found.values())


def areas_in_document(document: Any) -> list[str]:
    """Return the paths of the areas, in pixels of the image, that a JSON document states beside its boxes or masks, as COCO does."""
    entries = list(_entries(document, ""))
    beside = {f"{path.rpartition('.')[0]}.area" for path, name, _ in entries if name in _WITH_AREA}
    found = (path for path, _, value in entries if path in beside and isinstance(value, int | float))
    return list(dict.fromkeys(found))


def without_labels(document: Any, paths: frozenset[str], above: str = "", levels: int = _LEVELS) -> Any:
    """Return a JSON document without the entries at some paths, as :func:`labels_in_document` finds them."""
    if not levels:
        return document
    if isinstance(document, Mapping):
        wheres = {name: _inside(above, name) for name in document}
        return {
            name: without_labels(value, paths, wheres[name], levels - 1)
            for name, value in document.items()
            if wheres[name] not in paths
        }
    if isinstance(document, list):
        return [without_labels(each, paths, f"{above}[]", levels - 1) for each in document]
    return document


def labels_in_frame(sample: Mapping[Any, Any], image: Any) -> list[str]:
    """Return the entries of a sample that are coordinates in the image, recognised by name, type or shape.

    Args:
        sample: Its entries, by name or by position.
        image: The entry that is the image.
    """
    others = {name: value for name, value in sample.items() if name != image}
    size = _size(sample[image])
    return list(
        dict.fromkeys(path for path, name, value in _entries(others, "") if _is_located(name, value, size))
    )


def _entries(value: Any, above: str, levels: int = _LEVELS) -> Iterator[tuple[str, Any, Any]]:
    """Yield the path, the name and the value of each entry of dicts in dicts and in lists, down to labels."""
    if not levels:
        return
    if isinstance(value, Mapping):
        for name, each in value.items():
            where = _inside(above, name)
            if not isinstance(each, Mapping) or _is_label(name):
                yield where, name, each
            if not _is_label(name):
                yield from _entries(each, where, levels - 1)
    elif isinstance(value, list | tuple):
        for each in value[:_ITEMS]:
            yield from _entries(each, f"{above}[]", levels - 1)


def _inside(above: str, name: Any) -> str:
    return f"{above}.{name}" if above else f"{name}"


def _is_label(name: Any) -> bool:
    return isinstance(name, str) and kind_of_label(name) is not None


def _is_located(name: Any, value: Any, size: tuple[int, int] | None) -> bool:
    kind = type(value)
    if kind.__module__.startswith("torchvision.tv_tensors"):
        return kind.__name__ in _TV_TENSORS
    if _is_label(name) and not isinstance(value, str | int | float | bool | None):
        return True
    return size is not None and not _has_colours(value) and _size(value) == size


def _size(value: Any) -> tuple[int, int] | None:
    """Return the (height, width) of decoded pixels; None for anything else."""
    if isinstance(value, Image.Image):
        return value.height, value.width
    if not isinstance(value, Tensor | np.ndarray):
        return None
    shape = tuple(value.shape)
    if len(shape) == 3 and shape[0] in (1, 3):
        return shape[1], shape[2]
    return (shape[0], shape[1]) if len(shape) in (2, 3) else None


def _has_colours(value: Any) -> bool:
    """Another picture besides the image is not a label."""
    if isinstance(value, Image.Image):
        return len(value.getbands()) > 1
    return (
        isinstance(value, Tensor | np.ndarray) and value.ndim == 3 and 3 in (value.shape[0], value.shape[2])
    )
