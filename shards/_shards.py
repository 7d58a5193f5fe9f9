"""Every sample of many tars by its number: an index in front, positioned reads behind."""

import operator
import os
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64

from foveal.shards._cache import Cache
from foveal.shards._descriptor import Descriptor
from foveal.shards._error import ShardError, ShardWarning
from foveal.shards._index import Found, ShardIndex, find_index, read_index, tar_stamp
from foveal.shards._tar import Member
from foveal.shards._urls import expand_urls

_OPEN_SHARDS = 64  # indexes and descriptors kept at hand: more than two windows of an EpochOrder


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample as it lies in its tar.

    Attributes:
        key: What the names of its members share, folders included: ``dir/photo`` of ``dir/photo.jpg``.
        url: The shard, as ``Shards.urls`` spells it.
        members: Content by lower-case extension, in the order of the tar: ``{"jpg": ..., "cls": ...}``.
    """

    key: str
    url: str
    members: dict[str, bytes]


class Shards:
    """The samples of many WebDataset shards, in the order of the shards and of each tar.

    Tars of GNU, PAX and USTAR kinds are read in place. A gzip-compressed one is unpacked into the cache folder once.
    An index is taken from beside the tar (``foveal index`` writes it, DALI's is read too), else from the cache
    folder, else it is worked out from the tar's headers and kept in the cache folder. With indexes at hand, opening
    reads a few bytes per shard; a shard's own index is read when the first of its samples is.

    Any number of threads may read. Instances pickle, and survive a fork. They hold at most 64 open files; those
    close with the instance, or by ``close()``, after which reading opens them again.

    Args:
        urls: As :func:`expand_urls` takes them.
        cache_dir: The cache folder, None for ``$XDG_CACHE_HOME/foveal`` or ``~/.cache/foveal``. Where it cannot be
            written, indexes stay in memory.

    Attributes:
        urls: One per shard.
        counts: Samples in each shard.

    Raises:
        ShardError: A shard is missing, is no tar, or has a sample with two members of one name.

    Warns:
        ShardWarning: A tar was cut: its whole samples before the cut are there. An index beside a tar does not fit
            it and was put aside.

    Example:
        >>> shards = Shards("train-{000000..000146}.tar")
        >>> shards[0].key, list(shards[0].members)
        ('n01440764_10026', ['cls', 'jpg'])
    """

    urls: list[str]
    counts: Int64[np.ndarray, " shards"]

    def __init__(
        self,
        urls: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.urls = expand_urls(urls)
        self._cache = Cache.at(cache_dir)
        found = [find_index(url, self._cache) for url in self.urls]
        _warn_of_complaints(found)
        self.counts = np.array([shard.count for shard in found], dtype=np.int64)
        self._ends = np.cumsum(self.counts)
        self._found = found
        self._remember()

    def _remember(self) -> None:
        # lru_cache locks within the interpreter, so that a fork never finds it locked. What it calls must not
        # refer back to self, or the descriptors would wait for the cycle collector.
        self._index = lru_cache(_OPEN_SHARDS)(partial(_load_index, self.urls, self._found, self._cache))
        self._descriptor = lru_cache(_OPEN_SHARDS)(partial(_open_shard, self.urls, self._cache))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_index", "_descriptor")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._remember()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __repr__(self) -> str:
        return f"Shards({len(self)} samples in {len(self.urls)} shards, the first is {self.urls[0]!r})"

    def __iter__(self) -> Iterator[Sample]:
        return map(self.read, range(len(self)))

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Return a sample with all its members; negative numbers count from the end."""
        return self.read(index)

    def read(self, index: SupportsIndex, members: Collection[str] | None = None) -> Sample:
        """Return a sample with some of its members.

        Args:
            index: Its number, in [-len, len).
            members: Lower-case extensions to read, None for all. Those that the sample has not are left out.

        Raises:
            IndexError: There is no such sample.
            ShardError: The tar or its index changed, went away, or cannot be read.
        """
        shard, place = self._locate(index)
        url, entries = self.urls[shard], self._index(shard)[place]
        tar, content = self._descriptor(shard), {}
        for member in entries:
            ext = member.ext.lower()
            if members is None or ext in members:
                content[ext] = _read_member(url, tar, member)
        return Sample(entries[0].key, url, content)

    def _locate(self, index: SupportsIndex) -> tuple[int, int]:
        total, number = len(self), operator.index(index)
        if not -total <= number < total:
            raise IndexError(f"index must be in [{-total}, {total}), got {number}")
        number %= total
        shard = int(np.searchsorted(self._ends, number, side="right"))
        return shard, number - int(self._ends[shard] - self.counts[shard])

    def close(self) -> None:
        """Close the open files, each as soon as no thread reads from it any more."""
        self._descriptor.cache_clear()

    def __enter__(self) -> "Shards":  # noqa: PYI034 - the tests' type checker takes no Self in a method
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _load_index(urls: list[str], found: list[Found], cache: Cache, shard: int) -> ShardIndex:
    url, index = urls[shard], found[shard].index
    if isinstance(index, ShardIndex):
        return index
    try:
        loaded = read_index(index)
    except OSError:  # the cache was emptied, or the file beside the tar removed
        again = find_index(url, cache).index
        loaded = again if isinstance(again, ShardIndex) else read_index(again)
    if loaded.stamp != tar_stamp(url) or len(loaded) != found[shard].count:
        raise ShardError(url, None, "has changed since it was opened: open it again")
    return loaded


def _open_shard(urls: list[str], cache: Cache, shard: int) -> Descriptor:
    with cache.open_tar(urls[shard]) as file:
        return Descriptor(file)


def _read_member(url: str, tar: Descriptor, member: Member) -> bytes:
    try:
        data = tar.read(member.offset, member.size)
    except OSError as error:
        raise ShardError(url, member.key, f"{member.ext} member cannot be read: {error.strerror}") from error
    if len(data) < member.size:
        reason = f"{member.ext} member is truncated: {len(data)} of {member.size} bytes"
        raise ShardError(url, member.key, reason)
    return data


def _warn_of_complaints(found: list[Found]) -> None:
    complaints = [shard.complaint for shard in found if shard.complaint is not None]
    if complaints:
        warnings.warn(
            f"{len(complaints)} index file(s) beside a tar put aside and worked out anew, the first: {complaints[0]}"
            ": run `foveal index` on the shards to replace them",
            ShardWarning,
            stacklevel=3,
        )
