"""The full-resolution images behind a batch, read again: to look at, and to check the batch against."""

from collections.abc import Sequence

from jaxtyping import UInt8
from torch import Tensor

from foveal.pipeline import decode
from foveal.pipeline._fields import parse_fields
from foveal.pipeline._members import MemberError
from foveal.shards import Sample, ShardError, Shards

_FIELDS = parse_fields(["image"])


def encoded_image(sample: Sample) -> bytes:
    """Return the member that the field "image" means.

    Raises:
        ShardError: There is none.
    """
    try:
        return _FIELDS.encoded_image(sample.members)
    except MemberError as error:
        raise ShardError(sample.url, sample.key, str(error)) from error


def read_originals(shards: Shards, ordinals: Sequence[int]) -> list[UInt8[Tensor, "_height _width 3"]]:
    """Return these samples' images, decoded as the loader decodes them, on the CPU."""
    return decode([encoded_image(shards[ordinal]) for ordinal in ordinals])
