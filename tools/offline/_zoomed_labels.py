"""Labels that followed the zoom, written back to the members that they came from."""

from collections.abc import Mapping
from typing import Any

from foveal.pipeline import SpatialField


def rewrite_labels(
    members: Mapping[str, bytes], labels: Mapping[SpatialField, Any], size: tuple[int, int]
) -> dict[str, bytes]:
    """Return the members that hold labels as they are after the zoom, everything else in them as it was.

    Args:
        members: Of the sample, as it lies in its shard.
        labels: For each field the sample's label, as its ``of_sample`` returns it. Boxes come last: the items of a list
            whose boxes leave are gone then.
        size: (height, width) of the zoomed image in pixels.
    """
    changed: dict[str, bytes] = {}
    for field, label in labels.items():
        changed |= field.write({**members, **changed}, label, size)
    return changed


def kept_of(labels: Mapping[SpatialField, Any]) -> dict[str, list[int]]:
    """Return for each field whose entries may leave the image, boxes, which of the original's are left."""
    kept = {str(field.source): field.kept(label) for field, label in labels.items()}
    return {source: indices for source, indices in kept.items() if indices is not None}
