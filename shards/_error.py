"""Errors and warnings about data: an error if nothing can be read, a warning if the rest can be read.

::

    DataError                        the data is at fault, not the program
    ├── ShardError                   a shard, or a sample in it
    │   ├── SampleError              a sample that its tar does not hold correctly; all others can be read
    │   ├── DamagedError             a file that exists and is not a shard
    │   ├── UnindexableError         a shard for which there can be no index file
    │   └── RemoteError              a server did not send it
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


class SampleError(ShardError):
    """A sample that its tar does not hold correctly. All others can be read, so this is a bad sample, not a storage failure.

    Args:
        url: Its shard.
        key: Its key.
        reason: What is wrong.
        member: The extension of the member at fault, in lower case.
        number_in_shard: Its number among the samples of its shard, from 0.
    """

    def __init__(self, url: str, key: str, reason: str, member: str, number_in_shard: int) -> None:
        super().__init__(url, key, reason)
        self.args = (url, key, reason, member, number_in_shard)  # so that it pickles
        self.sample_key = key
        self.member = member
        self.number_in_shard = number_in_shard


class DamagedError(ShardError):
    """A file that exists and is not a shard: reading it again will not help."""


class UnindexableError(ShardError):
    """A shard that can be read, and holds what the format of index files cannot express."""


class RemoteError(ShardError):
    """A server did not send what was requested."""


class ShardWarning(UserWarning):
    """A shard was read, but not all of it, or without the index beside it."""


class IndexWarning(ShardWarning):
    """The index beside a shard does not fit it and was not used. Nothing of the shard is missing."""
