"""Writes warped labels back to the members that they came from."""

import itertools
from collections.abc import Mapping
from typing import Any

from foveal.pipeline import SpatialField


def rewrite_labels(
    members: Mapping[str, bytes], labels: Mapping[SpatialField, Any], size: tuple[int, int]
) -> dict[str, bytes]:
    """Return the members with their labels replaced by the warped ones; everything else in them stays unchanged.

    Args:
        members: Of the sample, as it lies in its shard.
        labels: For each field the sample's label, as its ``of_sample`` returns it. Boxes come last and are written together,
            because writing them removes the items none of whose boxes is visible any more, and the others are numbered with
            these.
        size: (height, width) of the zoomed image in pixels.
    """
    changed: dict[str, bytes] = {}
    for kind, fields in itertools.groupby(labels, _kind):
        changed |= kind.write_all({**members, **changed}, {field: labels[field] for field in fields}, size)
    return changed


def kept_of(labels: Mapping[SpatialField, Any]) -> dict[str, list[int]]:
    """Return for each field of boxes, which may leave the image, the numbers of the original boxes that are left."""
    kept = {str(field.source): field.kept(label) for field, label in labels.items()}
    return {source: indices for source, indices in kept.items() if indices is not None}


def _kind(field: SpatialField) -> type[SpatialField]:
    return type(field)
