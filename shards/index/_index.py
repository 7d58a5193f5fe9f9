"""Where each sample of a shard lies, found once and kept as an index file.

An index is looked for beside the tar, then in the cache. If neither exists and is up to date, the tar's headers are read
and the result is kept in the cache. Foveal's indexes contain the state of the tar that they were written for. An index of
DALI's tool does not: it is used if it is not older than the tar and agrees with it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64

from foveal.shards._error import ShardError
from foveal.shards.index._cache import Cache
from foveal.shards.index._idx_format import (
    TAIL,
    Stamp,
    format_index,
    parse_beyond,
    parse_count,
    parse_line,
    parse_stamp,
)
from foveal.shards.index._scan import UnusableError, agreed, scan
from foveal.shards.index._tar import Cut, Member, goes_on
from foveal.shards.naming import local_path
from foveal.shards.store import open_regular


@dataclass(frozen=True, slots=True, eq=False)
class ShardIndex:
    """The samples of one shard: the text of its index, and where each line starts. A line is parsed when it is needed.

    ``stamp`` is the state of the tar that this was written for.
    """

    text: bytes
    starts: Int64[np.ndarray, " lines"]
    stamp: Stamp | None

    @classmethod
    def of(cls, text: bytes) -> "ShardIndex":
        """Return the index in an index file that Foveal wrote."""
        starts = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
        return cls(text, starts, parse_stamp(text[-TAIL:]))

    def __len__(self) -> int:
        return parse_count(self.text[:64]) or 0

    def __getitem__(self, sample: int) -> list[Member]:
        return parse_line(self.text[self.starts[sample] : self.starts[sample + 1] - 1])


@dataclass(frozen=True, slots=True)
class Found:
    """One shard's number of samples and its index: a file, or the index itself if no file could be written.

    ``stamp`` is the state of the shard that this was found for, ``complaint`` says why the index file beside the tar was ignored,
    and ``cut`` which part of the tar is not read, and why.
    """

    count: int
    index: Path | ShardIndex
    stamp: Stamp
    complaint: str | None = None
    cut: str | None = None


def index_path(url: str) -> Path:
    """Return the path of a shard's index file, for Foveal and for DALI: ``train-0.idx`` beside ``train-0.tar``."""
    path = Path(local_path(url))
    return path.with_suffix(".idx") if path.suffix == ".tar" else path.with_name(path.name + ".idx")


def find_index(url: str, cache: Cache) -> Found:
    """Find a shard's index, or compute it. If there is an up-to-date index file, only its beginning and end are read.

    Raises:
        ShardError: The shard cannot be read.
        DamagedError: The file exists and is not a shard.
    """
    stamp = tar_stamp(url)
    for path in (index_path(url), cache.index_path(url)):
        found = find_fresh(path, stamp)
        if found is not None:
            return found
    return _work_out(url, cache, stamp)


def no_samples() -> Found:
    """Return the index of a shard of which nothing can be read."""
    stamp = Stamp(0, 0)
    return Found(0, ShardIndex.of(format_index([], stamp)), stamp)


def read_index(path: Path) -> ShardIndex:
    """Read an index file that Foveal wrote."""
    with open_regular(path) as file:
        return ShardIndex.of(file.read())


def tar_stamp(url: str) -> Stamp:
    """Return the present state of a shard's file."""
    try:
        return Stamp.of(Path(local_path(url)).stat())
    except OSError as error:
        raise ShardError(url, None, f"cannot be opened: {error.strerror}") from error


def find_fresh(path: Path, stamp: Stamp) -> Found | None:
    """Return what the beginning and end of Foveal's index file say; None if there is none for this state of the tar."""
    try:
        with open_regular(path) as file:
            head = file.read(64)
            file.seek(-min(TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
            tail = file.read()
    except OSError:
        return None
    count = parse_count(head)
    if count is None or parse_stamp(tail) != stamp:
        return None
    beyond = parse_beyond(tail)
    return Found(count, path, stamp, cut=goes_on(beyond) if beyond else None)


def _work_out(url: str, cache: Cache, stamp: Stamp) -> Found:
    complaint, adopted = None, None
    with cache.open_tar(url) as tar:
        try:
            adopted = adopt(url, index_path(url), tar, stamp)
        except UnusableError as error:
            complaint = f"{str(index_path(url))!r} {error}"
        lines, cut = scan(url, tar) if adopted is None else adopted
    return kept(url, cache, stamp, lines, complaint=complaint, cut=cut)


def kept(
    url: str, cache: Cache, stamp: Stamp, lines: list[bytes], *, complaint: str | None, cut: Cut | None
) -> Found:
    """Keep a computed index in the cache, unless its tar is truncated: such a tar may still be growing."""
    text = format_index(lines, stamp, 0 if cut is None else cut.beyond)
    said = _tell_cut(lines, cut)
    if (cut is None or cut.beyond) and cache.store(cache.index_path(url), text):
        return Found(len(lines), cache.index_path(url), stamp, complaint, said)
    return Found(len(lines), ShardIndex.of(text), stamp, complaint, said)


def _tell_cut(lines: list[bytes], cut: Cut | None) -> str | None:
    if cut is None:
        return None
    if cut.beyond:
        return cut.reason
    last = f"the last whole one is {parse_line(lines[-1])[-1].key!r}" if lines else "none is whole"
    if cut.left_out is not None:
        last = f"{cut.left_out!r} is left out because it may lack members, {last}"
    if cut.unproven is not None:
        last = (
            f"the last one is {cut.unproven!r}, taken for whole because all before it have the same members"
        )
    return f"{cut.reason}; of its samples, {last}"


def adopt(url: str, path: Path, tar: BinaryIO, stamp: Stamp) -> tuple[list[bytes], Cut | None] | None:
    """Return the same as :func:`scan`, from an index file of another tool; None if there is none.

    The tar's headers are read nevertheless, and must agree with it: the tar may have been replaced by one of the same size.
    """
    try:
        with open_regular(path) as file:
            text, written = file.read(), os.fstat(file.fileno())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror}") from error
    if parse_stamp(text[-TAIL:]) is not None or written.st_mtime_ns < (stamp.mtime_ns or 0):
        raise UnusableError("was written for another state of its tar")
    return agreed(url, text, tar)
