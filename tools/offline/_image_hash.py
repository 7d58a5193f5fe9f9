"""What an original image is known by in the table of a zoomed shard."""

import hashlib
from collections.abc import Mapping

from foveal.pipeline.fields import MemberError, alternatives, find_member


def image_hash(members: Mapping[str, bytes], image: str) -> str | None:
    """Return the SHA-256 of a sample's image file in hexadecimal digits, None where it has none.

    Args:
        members: Of the sample.
        image: The member that holds it, alternatives with ``;``.
    """
    try:
        return hashlib.sha256(members[find_member(alternatives(image), members)]).hexdigest()
    except MemberError:
        return None
