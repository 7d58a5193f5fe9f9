"""Waits for decoded images, and replaces the bad ones."""

from collections.abc import Callable
from typing import cast

from torch import Tensor

from foveal.pipeline.decoding import DecodeError, Decoder, Decoding
from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.fields import MemberError, first_misfit
from foveal.pipeline.flow import LoaderStats

InsteadOf = Callable[[EncodedSample, DecodeError | MemberError], EncodedSample | None]
"""Returns the sample to put in the place of a bad one, or None to leave it out."""


def settle(
    samples: list[EncodedSample],
    decoding: Decoding,
    decoder: Decoder,
    instead_of: InsteadOf,
    stats: LoaderStats,
) -> tuple[list[EncodedSample], list[Tensor]]:
    """Wait for the pixels. Images that cannot be decoded are replaced or left out."""
    with stats.timed("decode"):
        good = _settled(samples, decoding, decoder, instead_of, stats)
    return [sample for sample, _ in good], [image for _, image in good]


def _settled(
    samples: list[EncodedSample],
    decoding: Decoding,
    decoder: Decoder,
    instead_of: InsteadOf,
    stats: LoaderStats,
) -> list[tuple[EncodedSample, Tensor]]:
    good: list[tuple[EncodedSample, Tensor]] = []
    for sample, image in zip(samples, decoding.result(), strict=True):
        if (fault := fault_of(sample, image)) is None:
            good.append((sample, cast("Tensor", image)))
        elif (spare := instead_of(sample, fault)) is not None:
            good += _settled([spare], decoder.start([spare.image]), decoder, instead_of, stats)
    stats.pillow += decoding.by_pillow
    return good


def fault_of(sample: EncodedSample, image: Tensor | DecodeError) -> DecodeError | MemberError | None:
    if isinstance(image, DecodeError):
        return image
    return first_misfit(sample.located, sample.image.original_size(image))
