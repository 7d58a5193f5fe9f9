"""The hash by which the table of a zoomed shard identifies an original image."""

import hashlib
from collections.abc import Mapping

from foveal.pipeline.fields import MemberError, alternatives, find_member
from foveal.shards import SampleError, Shards


def image_hash(members: Mapping[str, bytes], image: str) -> str | None:
    """Return the SHA-256 of a sample's image file in hexadecimal digits, None if it has none.

    Args:
        members: Of the sample.
        image: The member that holds it, alternatives with ``;``.
    """
    try:
        return hashlib.sha256(members[find_member(alternatives(image), members)]).hexdigest()
    except MemberError:
        return None


def read_image_hash(shards: Shards, ordinal: int, image: str) -> str | None:
    """Return the same for a sample by its number; None also if its tar does not hold the image in one readable piece."""
    try:
        return image_hash(shards.read(ordinal, alternatives(image)).members, image)
    except SampleError:
        return None
