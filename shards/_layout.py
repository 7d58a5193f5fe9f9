"""Finds members that are not next to their sample: the most common mistake in packing a tar.

webdataset joins members to one sample only if they are next to each other in the tar and have the same name up to the
first dot. If a tar holds all images and then all labels, or ``images/0.jpg`` and ``labels/0.cls``, each sample is read as
several.
"""

from collections import defaultdict
from collections.abc import Collection

from foveal.shards.index import Member, ShardIndex


class Layout:
    """The numbers of the samples of one shard, by the last part of their keys."""

    def __init__(self, lines: ShardIndex) -> None:
        self._lines = lines
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for place in range(len(lines)):
            self._places[_last_part(lines[place][0].key)].append(place)

    def elsewhere(self, place: int, extensions: Collection[str]) -> Member | None:
        """Return a member with one of these extensions that seems to belong to a sample, but is not next to it in the tar.

        It has the same key, or the same last part of the key in another folder. In the second case the other sample must
        share no extension with this one; otherwise it is a sample in its own right.
        """
        ours = self._lines[place]
        exts = {member.ext.lower() for member in ours}
        for other in self._places[_last_part(ours[0].key)]:
            members = self._lines[other]
            same = members[0].key == ours[0].key
            if other == place or (not same and exts & {member.ext.lower() for member in members}):
                continue
            for member in members:
                if member.ext.lower() in extensions:
                    return member
        return None


def _last_part(key: str) -> str:
    return key.rpartition("/")[2]
