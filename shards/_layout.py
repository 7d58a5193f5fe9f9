"""Members that stand apart from their sample: the commonest way to pack a tar wrong.

webdataset takes members for one sample only if they stand side by side in the tar under one name up to the first dot. Packed
as all images, then all labels, or as ``images/0.jpg`` and ``labels/0.cls``, each sample falls into several.
"""

from collections import defaultdict
from collections.abc import Collection

from foveal.shards.index import Member, ShardIndex


class Layout:
    """Where the samples of one shard are, by the last part of their keys."""

    def __init__(self, lines: ShardIndex) -> None:
        self._lines = lines
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for place in range(len(lines)):
            self._places[_last_part(lines[place][0].key)].append(place)

    def elsewhere(self, place: int, extensions: Collection[str]) -> Member | None:
        """Return a member with one of these extensions that seems to belong to a sample, but is not beside it.

        It has the same key, or the same last part of the key in another folder; the latter only if the other sample has no
        member that this one has, too, as it would be a sample of its own.
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
