"""Reads the full-resolution images of a batch again, to show them or to check the batch against them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from foveal.pipeline import Boxes, DecodeError, PixelRule, Saliency, decode
from foveal.pipeline.decoding import PLAIN
from foveal.pipeline.fields import (
    ImageBoxes,
    MemberError,
    collate,
    guide_of,
    map_guide_of,
    parse_fields,
    parse_member,
)
from foveal.sampler import ZoomNeeds
from foveal.shards import Sample, SampleError, ShardError, Shards
from foveal.tools.console.counted import counted


def open_shards(urls: Sequence[str], *, storage_options: Mapping[str, Any] | None = None) -> Shards:
    """Open shards of which samples are to be shown or measured.

    Raises:
        ShardError: A shard cannot be read, or they hold no sample.
    """
    shards = Shards(urls, storage_options=storage_options)
    if not len(shards):
        others = len(shards.urls) - 1
        beside = f", nor has {counted(others, 'other shard')}" if others else ""
        raise ShardError(shards.urls[0], None, f"has no samples{beside} – name shards that hold some")
    return shards


def spread_evenly(rows: int, samples: int) -> list[int]:
    """Return which samples to show where there is room for so many: from the first to the last."""
    picks: list[int] = np.linspace(0, samples - 1, min(rows, samples)).round().astype(int).tolist()
    return picks


def encoded_image(sample: Sample, image: str = "image") -> bytes:
    """Return the member that a field refers to, by default the field "image".

    Raises:
        SampleError: There is none.
    """
    try:
        return parse_fields([image]).encoded_image(sample.members)
    except MemberError as error:
        raise _bad(sample, error) from error


def read_originals(
    shards: Shards, ordinals: Sequence[int], *, image: str = "image", rule: PixelRule = PLAIN
) -> list[UInt8[Tensor, "_height _width 3"]]:
    """Return these samples' images, decoded as the loader decodes them, on the CPU.

    Args:
        shards: Where they are.
        ordinals: Their numbers.
        image: The field that the image is.
        rule: How samples become grey levels.

    Raises:
        SampleError: One has no image, or one that cannot be decoded.
    """
    samples = [shards[ordinal] for ordinal in ordinals]
    files = [encoded_image(sample, image) for sample in samples]
    try:
        return decode(files, rule=rule)
    except DecodeError as error:
        bad, reason = samples[error.index or 0], f"image {error.reason}"
        raise SampleError(bad.url, bad.key, reason, image, bad.number_in_shard) from error


def caption_facts(shards: Shards, ordinal: int) -> list[str]:
    """Return what a caption says of every sample: its key, and its label if it has one, whatever its bytes are."""
    sample = shards[ordinal]
    label = sample.members.get("cls")
    return [sample.key, *([f"label {label.decode(errors='replace')}"] if label else [])]


def read_boxes(sample: Sample, boxes: Boxes, size: tuple[int, int]) -> ImageBoxes:
    """Return a sample's boxes in pixels of its upright image, of this (height, width).

    Raises:
        SampleError: It has none, or they are malformed.
    """
    try:
        found = boxes.read(sample.members, max_pixels=None)
    except MemberError as error:
        raise _bad(sample, error) from error
    reason = boxes.misfit(found, size)
    if reason is not None:
        raise _bad(sample, MemberError(reason, field=repr(boxes)))
    return found._replace(corners=boxes.in_pixels(found, size))


def read_needs(
    zoom: nn.Module, sample: Callable[[], Sample], named: Boxes | None, known: Tensor, size: tuple[int, int]
) -> dict[str, Any]:
    """Return what a sampler is called with beside one image: boxes, map and condition, as far as it asks for them.

    Args:
        zoom: The sampler.
        sample: Returns the sample; it is only called if the zoom asks for something that is not known.
        named: The field of boxes that the user has named, with what its numbers are.
        known: The sample's boxes in that field (n, 4), in pixels.
        size: (height, width) of the sample's upright image in pixels.

    Raises:
        SampleError: The sample lacks one of them, or it is malformed.
    """
    needs, read = ZoomNeeds.of(zoom), functools.cache(sample)
    told: dict[str, Any] = {}
    if (guide := guide_of(needs)) is not None:
        is_known = named is not None and named.source == guide.source
        asked = known if is_known else read_boxes(read(), guide, size).corners
        height, width = size
        told["boxes"] = [asked / torch.tensor([width, height, width, height])]
    if (map_guide := map_guide_of(needs)) is not None:
        told["maps"] = [_read_map(read(), map_guide, size)]
    if needs.condition:
        told["condition"] = _read_condition(read(), needs.condition)
    return told


def _read_map(sample: Sample, saliency: Saliency, size: tuple[int, int]) -> Tensor:
    try:
        return saliency.as_map(saliency.read(sample.members, max_pixels=None), size)
    except MemberError as error:
        raise _bad(sample, error) from error


def _read_condition(sample: Sample, names: Sequence[str]) -> list[Any]:
    try:
        return [collate(name, [parse_member(name, sample.members)]) for name in names]
    except MemberError as error:
        raise _bad(sample, error) from error


def _bad(sample: Sample, error: MemberError) -> SampleError:
    return SampleError(sample.url, sample.key, str(error), error.field, sample.number_in_shard)
