"""Labels that followed the zoom, written back to the members that they came from."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from foveal.pipeline import Boxes, Mask
from foveal.pipeline.fields import BoxFormat, SpatialField, alternatives, find_member, kind_of
from foveal.tools.offline._encode_image import encode_array, encode_mask

# Decimals of a pixel in JSON.
_DECIMALS = 4


def rewrite_labels(members: Mapping[str, bytes], warped: Mapping[SpatialField, Any]) -> dict[str, bytes]:
    """Return the members that hold labels as they are after the zoom, everything else in them as it was.

    Beside boxes at ``"json:boxes"`` stands ``boxes_kept``: which of the original's they are, as those that the zoom does
    not show are gone.

    Args:
        members: Of the sample, as it lies in its shard.
        warped: For each field what a loader delivers of it for this sample: boxes and kept, points, or class ids.
    """
    documents: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for field, value in warped.items():
        member = find_member(alternatives(field.source.partition(":")[0]), members)
        if isinstance(field, Mask):
            files[member] = encode_mask(value.cpu().numpy())
        elif kind_of(member) == "npy":
            files[member] = encode_array(_rows(field, value))
        else:
            document = documents.setdefault(member, json.loads(members[member]))
            documents[member] = _with_rows(document, field, value)
    return files | {member: json.dumps(document).encode() for member, document in documents.items()}


def kept_of(warped: Mapping[SpatialField, Any]) -> dict[str, list[int]]:
    """Return for each field of boxes which of the original's are left."""
    return {field.source: value.kept.tolist() for field, value in warped.items() if isinstance(field, Boxes)}


def _with_rows(document: Any, field: SpatialField, value: Any) -> Any:
    rows = np.round(_rows(field, value).astype(np.float64), _DECIMALS).tolist()
    path = field.source.partition(":")[2]
    if not path:
        return rows
    *way, last = path.split(".")
    place = document
    for entry in way:
        place = place[entry]
    place[last] = rows
    if isinstance(field, Boxes):
        place[f"{last}_kept"] = value.kept.tolist()
    return document


def _rows(field: SpatialField, value: Any) -> np.ndarray[Any, Any]:
    return _as_format(value.boxes, field.format) if isinstance(field, Boxes) else value.cpu().numpy()


def _as_format(boxes: Tensor, box_format: BoxFormat) -> np.ndarray[Any, Any]:
    """Return (n, 4) boxes of (x0, y0, x1, y1) the way that the original had them."""
    corners = boxes.cpu().numpy()
    low, high = corners[:, :2], corners[:, 2:]
    match box_format:
        case "xyxy":
            return corners
        case "xywh":
            return np.concatenate([low, high - low], axis=1)
        case "cxcywh":
            return np.concatenate([(low + high) / 2, high - low], axis=1)
