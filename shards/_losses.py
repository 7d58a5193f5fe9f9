"""What is not read of shards, and the warnings about it."""

import warnings
from collections.abc import Mapping

from foveal._outside import outside
from foveal.shards._error import IndexWarning, ShardError, ShardWarning
from foveal.shards.index import Found


def cuts(urls: list[str], found: list[Found]) -> dict[str, ShardError]:
    """Return which part of each shard is not read, and why, by URL; without the shards that are read whole or not at all."""
    return {
        url: ShardError(url, None, each.cut)
        for url, each in zip(urls, found, strict=True)
        if each.cut is not None
    }


def warn_of_losses(urls: list[str], damaged: Mapping[str, ShardError], cut: Mapping[str, ShardError]) -> None:
    """Warn of each shard of which something is not read."""
    for url in urls:
        if url in damaged:
            warnings.warn(f"{damaged[url]}; nothing of it is read", ShardWarning, stacklevel=outside())
        elif url in cut:
            warnings.warn(str(cut[url]), ShardWarning, stacklevel=outside())


def warn_of_indexes(found: list[Found]) -> None:
    """Warn of the indexes beside shards that were not used."""
    complaints = [shard.complaint for shard in found if shard.complaint is not None]
    if complaints:
        warnings.warn(
            f"{len(complaints)} index file(s) beside a tar put aside and worked out anew, the first: {complaints[0]}"
            ": run `foveal index` on the shards to replace them",
            IndexWarning,
            stacklevel=outside(),
        )
