"""What can be wrong with data at rest: an error where nothing can be read, a warning where the rest can."""


class ShardError(Exception):
    """A shard, or a sample in it, cannot be read.

    Reads as ``url: key: reason``, without the key where the whole shard is meant.

    Args:
        url: The shard, spelled as the caller spelled it.
        key: The sample's key, or None when it is about the shard.
        reason: What is wrong and, where something can be done, what to do.

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
