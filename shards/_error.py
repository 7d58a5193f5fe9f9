"""What can be wrong with data: an error if nothing can be read, a warning if the rest can.

::

    DataError                        the data is at fault, not the program
    ├── ShardError                   a shard, or a sample in it
    │   └── RemoteError              a server did not deliver it
    ├── TooManyBadSamplesError       of foveal.pipeline: an epoch has more bad samples than allowed
    └── TooManyFailuresError         of foveal zoom: more samples failed than allowed
"""


class DataError(Exception):
    """The data is at fault, not the program: a shard, a sample, or too many of them."""


class ShardError(DataError):
    """A shard, or a sample in it, cannot be read.

    Reads as ``url: key: reason``, without the key if the whole shard is meant.

    Args:
        url: The shard, spelled as the caller spelled it.
        key: The sample's key, or None when it is about the shard.
        reason: What is wrong and, if something can be done, what to do.

    Example:
        >>> str(ShardError("train-000012.tar", "n01440764_10026", "jpg member is truncated"))
        'train-000012.tar: n01440764_10026: jpg member is truncated'
    """

    def __init__(self, url: str, key: str | None, reason: str) -> None:
        super().__init__(url, key, reason)  # as args, so that it pickles
        self.url = url
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        return ": ".join(part for part in (self.url, self.key, self.reason) if part is not None)


class RemoteError(ShardError):
    """A server did not deliver."""


class ShardWarning(UserWarning):
    """A shard was read, but not all of it, or not by the index beside it."""
