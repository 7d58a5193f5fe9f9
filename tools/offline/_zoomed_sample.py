"""One zoomed sample: what the loader delivers, and what is written."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num
from torch import Tensor, nn

from foveal.pipeline import SpatialField, peek
from foveal.pipeline.fields import alternatives, find_member
from foveal.sampler import ZoomRecord
from foveal.sampler.zooms import lost_images, map_to_json
from foveal.tools.console.choices import ImageFormat
from foveal.tools.offline._encode_image import encode_image
from foveal.tools.offline._made_of import hash_members
from foveal.tools.offline._unwarped import unwarped, without
from foveal.tools.offline._zoomed_labels import kept_of, rewrite_labels
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard_files import OK, RECORD, SampleRow
from foveal.tools.pictures.magnification import local_zoom
from foveal.tools.pictures.patch_frames import patch_frames

OWN_FIELDS = ("__index__", "__key__", "__url__", "__members__", "__size__", "__grid__", "__saliency__")


class Delivered(NamedTuple):
    """A sample as the loader delivers it: the image in [0, 1], ``OWN_FIELDS``, and labels that followed the zoom."""

    image: Tensor
    ordinal: int
    key: str
    url: str
    members: dict[str, bytes]
    size: tuple[int, int]
    grid: Tensor
    saliency: Tensor
    labels: dict[SpatialField, Any]


def apart(batch: Sequence[Any], labels: Sequence[SpatialField]) -> list[Delivered]:
    """Return the samples of a batch one by one, in CPU memory."""
    images, ordinals, keys, urls, members, sizes, grids, saliency, *values = batch
    images, grids, saliency = images.cpu(), grids.cpu(), saliency.cpu()
    named = dict(zip(labels, values, strict=True))
    return [
        Delivered(
            images[k],
            int(ordinals[k]),
            keys[k],
            urls[k],
            members[k],
            (int(sizes[k][0]), int(sizes[k][1])),
            grids[k],
            saliency[k],
            {field: field.of_sample(value, k) for field, value in named.items()},
        )
        for k in range(len(keys))
    ]


def encode_sample(sample: Delivered, recipe: Recipe, zoom: nn.Module) -> tuple[dict[str, Any], SampleRow]:
    """Return the members of a sample to be written, and its row of the table.

    Raises:
        ValueError: It already has a member with the name of one that is to be written.
    """
    source = find_member(alternatives(recipe.image), sample.members)
    if bool(lost_images(sample.saliency[None])):
        raise ValueError(
            f"saliency must be finite, got NaN for {sample.key} – the network's weights have diverged."
        )
    shown = _as_levels(
        sample.image if recipe.patches is not None else sample.image[None],
        recipe.format,
        deep=recipe.format == "npy" and peek(sample.members[source], rule=recipe.rule).depth > 8,
    )
    images = [encode_image(pixels, recipe.format, recipe.quality) for pixels in shown]
    new = dict(zip(zoomed_names(source, recipe), images, strict=True))
    new[RECORD] = json.dumps(_record(sample, recipe, zoom)).encode()
    others = {ext: content for ext, content in sample.members.items() if ext != source}
    _check_names(sample, new, others, recipe)
    hashes = hash_members(sample.members, recipe.image)
    row = SampleRow(
        sample.key,
        OK,
        size=sample.size,
        sha256=hashes.image,
        zoom=None if recipe.patches is not None else local_zoom(sample.grid.numpy()),
        bytes=sum(map(len, images)),
        members_sha256=hashes.members,
    )
    height, width = sample.image.shape[-2:]
    others |= rewrite_labels(sample.members, sample.labels, (height, width))
    if recipe.drop_labels:
        others = without(others, unwarped(others, sample.size, recipe))
    return {**others, **new}, row


def zoomed_names(source: str, recipe: Recipe) -> list[str]:
    """Return the names of the members of a zoomed image, from the name of the original's member.

    ``left.png`` of ``left.jpg``; and ``left.0.png``, ``left.1.png`` and so on for patches.
    """
    folder, dot, _ = source.rpartition(".")
    if recipe.patches is None:
        return [f"{folder}{dot}{recipe.extension}"]
    return [f"{folder}{dot}{number}.{recipe.extension}" for number in range(recipe.patches)]


def _as_levels(
    images: Tensor, image_format: ImageFormat, *, deep: bool
) -> Num[np.ndarray, "count height width 3"]:
    """Round to levels, in NumPy: torch would start threads that keep processors busy which DALI needs.

    Deep images stay floating-point numbers in [0, 1] if the format can hold them.
    """
    light = images.numpy().transpose(0, 2, 3, 1)
    if deep:
        return light.astype(np.float32)
    if image_format == "png16":
        return np.rint(light.astype(np.float64) * 65535).astype(np.uint16)
    return np.rint(light * np.float32(255)).astype(np.uint8)


def _record(sample: Delivered, recipe: Recipe, zoom: nn.Module) -> dict[str, Any]:
    if recipe.patches is not None:
        corners = patch_frames(sample.grid, sample.size).round(2).tolist()
        scores = map_to_json(sample.saliency[0])
        return {"version": 1, "source_size": list(sample.size), "patches": corners, **scores}
    record = ZoomRecord.of(zoom, sample.saliency, sample.size).to_json()
    kept = kept_of(sample.labels)
    return record | ({"kept": kept} if kept else {})


def _check_names(
    sample: Delivered, new: Mapping[str, bytes], others: Mapping[str, bytes], recipe: Recipe
) -> None:
    where = f"{sample.key!r} of {sample.url}"
    if RECORD in others:
        raise ValueError(
            f"urls must be of shards that are not zoomed yet, got one with {RECORD} for {where}."
        )
    taken = new.keys() & others.keys()
    if taken:
        raise ValueError(
            f"format must be one whose name no other member has, got {recipe.format!r}, and there is "
            f"another {min(taken)} for {where} – choose another format."
        )
