"""The full-resolution images behind a batch, read again: to look at, and to check the batch against."""

from collections.abc import Sequence

from jaxtyping import UInt8
from torch import Tensor

from foveal.pipeline import decode
from foveal.shards import Sample, ShardError, Shards

_IMAGES = ("jpg", "jpeg", "png", "webp")


def encoded_image(sample: Sample) -> bytes:
    """Return the member that the field "image" means.

    Raises:
        ShardError: There is none.
    """
    for extension in _IMAGES:
        if extension in sample.members:
            return sample.members[extension]
    raise ShardError(sample.url, sample.key, f"it has no member {' or '.join(_IMAGES)}")


def read_originals(shards: Shards, ordinals: Sequence[int]) -> list[UInt8[Tensor, "_height _width 3"]]:
    """Return these samples' images, decoded as the loader decodes them, on the CPU."""
    return decode([encoded_image(shards[ordinal]) for ordinal in ordinals])
