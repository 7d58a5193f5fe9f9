"""A sample that cannot be delivered."""

from typing import NamedTuple


class BadSample(NamedTuple):
    """A sample that could not be delivered. Reads as ``url: key: reason``."""

    url: str
    """Its shard, as ``Shards.urls`` spells it."""

    key: str
    """Its key in the shard."""

    reason: str
    """What is wrong, such as "image is empty: 0 bytes"; up to the colon the same for all with this fault."""

    @property
    def fault(self) -> str:
        """The reason without what is particular to this sample: what to count by."""
        return self.reason.partition(":")[0]

    def __str__(self) -> str:
        return f"{self.url}: {self.key}: {self.reason}"
