"""What a zoomed shard was made of: hashes of its samples' members, and the comparison with an original as it is now."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from foveal.pipeline.fields import MemberError, alternatives, find_member
from foveal.shards import SampleError, Shards
from foveal.tools.offline.shard_files import SampleRow


class Hashes(NamedTuple):
    """SHA-256 of a sample's members, in hexadecimal digits.

    Attributes:
        image: Of the image file; None if there is none.
        members: Of the names of all members, and of the content of all but the image.
    """

    image: str | None
    members: str


def hash_members(members: Mapping[str, bytes], image: str) -> Hashes:
    """Return the hashes of a sample, whatever the order of its members.

    Args:
        members: Of the sample.
        image: The member that holds the image, alternatives with ``;``.
    """
    source = _source(members, image)
    names = sorted(name for name in members if name != source)
    digest = _hash_names([source, [(name, len(members[name])) for name in names]])
    for name in names:
        digest.update(members[name])
    return Hashes(None if source is None else hashlib.sha256(members[source]).hexdigest(), digest.hexdigest())


def read_hashes(shards: Shards, ordinal: int, image: str) -> Hashes:
    """Return the hashes of a sample by its number.

    If its tar does not hold a member in one readable piece, their names stand for all of them, and so does
    None for the image if it is that.
    """
    try:
        return hash_members(shards.read(ordinal).members, image)
    except SampleError:
        names = _hash_names(sorted(shards.extensions(ordinal))).hexdigest()
    try:
        alone = hash_members(shards.read(ordinal, alternatives(image)).members, image).image
    except SampleError:
        alone = None
    return Hashes(alone, names)


def differences(original: Shards, rows: Sequence[SampleRow], image: str) -> Iterator[tuple[str, str]]:
    """Yield in which ways an original is not that of which a zoomed shard was made: what differs, and where.

    Args:
        original: One shard, as it is now. A sample is read when what differs in those before it has been taken.
        rows: The table of the zoomed shard.
        image: The member that holds the image, alternatives with ``;``.
    """
    keys, listed = [original.key(k) for k in range(len(original))], [row.key for row in rows]
    if keys != listed:
        yield "accounts for other samples than there are", first_difference(keys, listed)
        return
    for ordinal, row in enumerate(rows):
        now = read_hashes(original, ordinal, image)
        if row.sha256 != now.image:
            yield "was made of other images", row.key
        if row.members_sha256 not in (None, now.members):
            yield "was made of other members beside the images", row.key


def first_difference(expected: Sequence[str], actual: Sequence[str]) -> str:
    """Return at which sample two lists of keys differ, in words."""
    place = next((k for k, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), None)
    if place is None:
        place = min(len(expected), len(actual))
    one, other = (keys[place] if place < len(keys) else "the end" for keys in (expected, actual))
    return f"sample {place} should be {one}, is {other}"


def _source(members: Mapping[str, bytes], image: str) -> str | None:
    try:
        return find_member(alternatives(image), members)
    except MemberError:
        return None


def _hash_names(names: list[Any]) -> "hashlib._Hash":
    return hashlib.sha256(json.dumps(names).encode())
