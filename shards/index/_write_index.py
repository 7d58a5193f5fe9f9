"""Index files are written: beside a local tar, or as text for a tar that goes elsewhere."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from foveal.shards._error import ShardError, UnindexableError
from foveal.shards.index._cache import open_local
from foveal.shards.index._idx_format import Stamp, format_index, is_quoted, parse_line
from foveal.shards.index._index import adopt, find_fresh, index_path, read_index, tar_stamp
from foveal.shards.index._packed import packing_of
from foveal.shards.index._scan import UnusableError, scan
from foveal.shards.index._tar import UNREADABLE, Cut
from foveal.shards.store import replacing


def write_index(url: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a shard's index file beside it, in version 1.2, which DALI's reader understands, too.

    Args:
        url: A plain local tar, as a path or ``file:`` URL.
        force: Write it even if there is an up-to-date one.

    Returns:
        The index file: ``train-0.idx`` for ``train-0.tar``. It appears complete or not at all.

    Raises:
        UnindexableError: The tar has white space in a name, or a member that is not in one piece: the format can express
            neither. Such a shard is read without this file. One of another state of the tar is removed.
        ShardError: The tar cannot be read to its end, or is compressed; or the folder cannot be written.
    """
    url = os.fspath(url)
    path, stamp = index_path(url), tar_stamp(url)
    with open_local(url) as tar:
        kind = packing_of(url, tar)
        if kind is not None:
            raise ShardError(
                url, None, f"is {kind}-compressed, and an index is of plain tars: unpack it first"
            )
        if not force and _is_fresh(url, path, tar, stamp):
            return path
        try:
            text = index_text(url, tar, stamp)
        except ShardError:
            _remove_outdated(path, stamp)
            raise
    try:
        with replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise ShardError(url, None, f"its index {str(path)!r} cannot be written: {error.strerror}") from error
    return path


def index_text(url: str, tar: BinaryIO, stamp: Stamp) -> bytes:
    """Return the text of a tar's index file, read from its headers.

    Args:
        url: The shard, for messages.
        tar: The tar, not compressed.
        stamp: Its present state.

    Raises:
        UnindexableError, ShardError: As :func:`write_index` does.
    """
    lines, cut = scan(url, tar)
    _check_representable(url, lines, cut)
    return format_index(lines, stamp, 0 if cut is None else cut.beyond)


def _check_representable(url: str, lines: list[bytes], cut: Cut | None) -> None:
    if cut is not None and not cut.beyond:
        raise ShardError(url, cut.key, f"{cut.reason}: no index was written")
    for line in lines:
        members = parse_line(line)
        if is_quoted(line):
            reason = "no index was written: its format cannot hold names with white space"
            raise UnindexableError(url, members[0].key, reason)
        for member in members:
            if member.offset < 0:
                reason = f"no index was written: {member.ext} member {UNREADABLE[member.offset]}"
                raise UnindexableError(url, member.key, reason)


def _is_fresh(url: str, path: Path, tar: BinaryIO, stamp: Stamp) -> bool:
    if find_fresh(path, stamp) is not None:
        return True
    try:
        return adopt(url, path, tar, stamp) is not None
    except UnusableError:
        return False


def _remove_outdated(path: Path, stamp: Stamp) -> None:
    """Remove an index that Foveal wrote for another state of the tar: DALI's reader would believe it."""
    with suppress(OSError):
        if read_index(path).stamp not in (None, stamp):
            path.unlink()
