"""Access to every sample of many tars by its number: an index says where it lies, and only those bytes are read."""

import operator
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64

from foveal._submit import submit
from foveal.shards._descriptor import Descriptor
from foveal.shards._error import DamagedError, ShardError
from foveal.shards._layout import Layout
from foveal.shards._losses import cuts, warn_of_indexes, warn_of_losses
from foveal.shards._members import check_members, read_members
from foveal.shards._urls import expand_urls
from foveal.shards.index import (
    Cache,
    Found,
    ShardIndex,
    Stamp,
    changed,
    find_index,
    no_samples,
    read_index,
    tar_stamp,
)
from foveal.shards.naming import is_remote, local_path
from foveal.shards.remote import Ranged, RemoteShards

_ASKING = 64  # remote shards looked up at a time
_LAYOUTS = 4  # used only if members are missing, and then by several threads
_OPEN_SHARDS = 64  # indexes and descriptors that are kept: more than two windows of an EpochOrder


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample as it lies in its tar.

    Attributes:
        key: What the names of its members have in common, folders included: ``dir/photo`` for ``dir/photo.jpg``.
        url: The shard, as ``Shards.urls`` spells it.
        members: Content by lower-case extension, in the order of the tar: ``{"jpg": ..., "cls": ...}``.
        number_in_shard: Its number among the samples of its shard, from 0.
    """

    key: str
    url: str
    members: dict[str, bytes]
    number_in_shard: int = field(default=-1, compare=False)


class Shards:
    """The samples of many WebDataset shards, in the order of the shards and of each tar.

    Tars of GNU, PAX and USTAR kinds are read in place. One that is compressed (gzip, bzip2, xz; zstd with the extra ``zstd``) is unpacked into the cache folder once.
    Members are those that webdataset finds, and hard links; hidden files, such as macOS's ``._photo.jpg``, are ignored.
    The index is the file beside the tar (``foveal index`` writes it, DALI's is read too), or else that in the cache
    folder. If there is none, it is computed from the tar's headers and kept in the cache folder. If the indexes exist,
    opening reads a few bytes per shard; a shard's whole index is read with the first of its samples.

    Remote shards (``s3://``, ``gs://``, ``http(s)://``; a compressed one must be named so, such as ``.tar.gz`` or ``.tar.zst``)
    are read by ranges, one request for the members of a sample that lie close together, unless ``cache_size`` says how
    much disk space copies of whole shards may take. A shard is then downloaded when the first of its samples is read,
    once for all processes that share the folder; the others wait for it. The copies that were not used for the longest
    time are removed to make room.
    A copy that is open stays readable after it is removed, so up to 64 more shards may be on the disk. A shard that would
    not fit is read by ranges; if its server sends whole files only, it waits for downloads that take the room. When
    shuffling, allow room for at least the 64 shards that a process keeps open.

    Temporary failures (lost connections, short bodies, no answer for 30 s, HTTP 408, 429, 500, 502, 503, 504) are retried
    up to five times, after pauses that grow from half a second to eight. Every answer is checked to be of the same state
    of the file as the index, by size and ETag, or by Last-Modified if there is no ETag; by size alone if a server sends neither.

    Any number of threads may read. Instances pickle, and survive a fork. They hold at most 64 open files; those
    close with the instance, or by ``close()``, after which reading opens them again.

    Args:
        urls: As :func:`expand_urls` takes them.
        cache_dir: The cache folder, None for ``$XDG_CACHE_HOME/foveal`` or ``~/.cache/foveal``. If it cannot be written,
            indexes stay in memory.
        cache_size: Room for copies of remote shards, in bytes or as ``"200GB"`` or ``"186GiB"``; unpacked shards and
            indexes come on top. None for no copies.
        storage_options: Passed to fsspec's file system for remote shards, as in pandas:
            ``{"anon": True}``, ``{"endpoint_url": ...}``, ``{"headers": {...}}``.

    Attributes:
        urls: One per shard.
        counts: Number of samples in each shard.
        damaged: By URL, why nothing can be read of a file that exists: it is empty, not a tar, or badly compressed.
        cut: By URL, which part of any other file is not read, and why: it ends early, or goes on behind its end mark.

    Raises:
        ShardError: A shard is missing or cannot be reached, or all are damaged.
        ValueError: ``cache_size`` is no size.

    Warns:
        ShardWarning: A shard is damaged: it is treated as a shard without samples. A tar is truncated: the complete
            samples before the cut are read, and one that may have lost members is left out. If no name at the cut tells
            where the last sample ends, it counts as complete where all before it have the same extensions as it has. A tar
            continues after its end mark.
        IndexWarning: An index beside a tar does not fit it, or its server fails to send it: it is not used.

    Example:
        >>> shards = Shards("train-{000000..000146}.tar")
        >>> shards[0].key, list(shards[0].members)
        ('n01440764_10026', ['cls', 'jpg'])
    """

    urls: list[str]
    counts: Int64[np.ndarray, " shards"]
    damaged: Mapping[str, ShardError]
    cut: Mapping[str, ShardError]

    def __init__(
        self,
        urls: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        cache_size: int | str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._cache = Cache.at(cache_dir)
        self._remote = RemoteShards(self._cache, cache_size, storage_options)
        self.urls = expand_urls(urls, storage_options=storage_options)
        found, self.damaged = _find_all(self.urls, self._cache, self._remote)
        self.cut = cuts(self.urls, found)
        warn_of_losses(self.urls, self.damaged, self.cut)
        warn_of_indexes(found)
        self.counts = np.array([shard.count for shard in found], dtype=np.int64)
        self._ends = np.cumsum(self.counts)
        self._found = found
        self._remember()

    def _remember(self) -> None:
        # lru_cache locks within the interpreter, so a forked process never finds it locked. What it calls must not
        # refer back to self, or the descriptors would wait for the cycle collector.
        places = self._cache, self._remote
        self._index = lru_cache(_OPEN_SHARDS)(partial(_load_index, self.urls, self._found, *places))
        self._tar = lru_cache(_OPEN_SHARDS)(partial(_open_shard, self.urls, *places))
        self._layout = lru_cache(_LAYOUTS)(partial(_layout_of, self._index))

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in vars(self).items() if name not in ("_index", "_tar", "_layout")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._remember()

    @property
    def states(self) -> list[str]:
        """The state in which each shard was found: its size, and when it was changed, or a server's ETag or Last-Modified."""
        return [str(shard.stamp) for shard in self._found]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __repr__(self) -> str:
        return f"Shards(samples={len(self)}, shards={len(self.urls)}, first={self.urls[0]!r})"

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
            SampleError: One of these members occurs twice, or is a link or a sparse file. Other samples can be read.
            ShardError: The tar or its index has changed, was removed, or cannot be read.
        """
        shard, place = self._locate(index)
        url, lines = self.urls[shard], self._index(shard)
        entries = lines[place]
        wanted = [member for member in entries if members is None or member.ext.lower() in members]
        check_members(url, place, wanted)
        # by its state, too: an index that was read again belongs to the present state of the file
        content = read_members(url, self._tar(shard, lines.stamp), wanted)
        return Sample(entries[0].key, url, content, place)

    def elsewhere(self, index: SupportsIndex, members: Collection[str]) -> str | None:
        """Return the name of a member that a sample lacks and that seems to belong to it, but is elsewhere in the tar.

        Args:
            index: The sample's number.
            members: Lower-case extensions; a member with any of them is looked for.

        Returns:
            Such as ``"labels/0.cls"`` for the sample of ``"images/0.jpg"``; None if there is none.
        """
        shard, place = self._locate(index)
        found = self._layout(shard).elsewhere(place, members)
        return None if found is None else found.name

    def key(self, index: SupportsIndex) -> str:
        """Return a sample's key. Only the index is read. Raises as :meth:`read` does."""
        shard, place = self._locate(index)
        return str(self._index(shard)[place][0].key)

    def extensions(self, index: SupportsIndex) -> list[str]:
        """Return the lower-case extensions of a sample's members. Only the index is read. Raises as :meth:`read` does."""
        shard, place = self._locate(index)
        return [member.ext.lower() for member in self._index(shard)[place]]

    def _locate(self, index: SupportsIndex) -> tuple[int, int]:
        total, number = len(self), operator.index(index)
        if not -total <= number < total:
            raise IndexError(f"index must be in [{-total}, {total}), got {number}")
        number %= total
        shard = int(np.searchsorted(self._ends, number, side="right"))
        return shard, number - int(self._ends[shard] - self.counts[shard])

    def interrupt(self) -> None:
        """Make every thread that waits for a server raise ShardError, now and until :meth:`resume`."""
        self._remote.interrupt()

    def resume(self) -> None:
        """Allow threads to wait for servers again."""
        self._remote.resume()

    def close(self) -> None:
        """Close the open files, each as soon as no thread reads from it."""
        self._tar.cache_clear()

    def __enter__(self) -> "Shards":  # noqa: PYI034 - the tests' type checker takes no Self in a method
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _find_all(
    urls: Sequence[str], cache: Cache, remote: RemoteShards
) -> tuple[list[Found], dict[str, DamagedError]]:
    """Find all indexes: local ones one after the other, remote ones many at a time, because each waits for a server.

    Returns:
        The indexes, and the errors of the files that are damaged, unless all are.
    """
    far = [url for url in urls if is_remote(url)]
    near = partial(_found_or_damaged, partial(find_index, cache=cache))
    with ThreadPoolExecutor(min(_ASKING, len(far)) or 1) as pool:
        try:
            answers = iter([submit(pool, _found_or_damaged, remote.find, url) for url in far])
            found = [next(answers).result() if is_remote(url) else near(url) for url in urls]
        except BaseException:  # Ctrl-C, too: leaving the pool waits for threads that wait for servers
            pool.shutdown(wait=False, cancel_futures=True)
            remote.interrupt()
            raise
    damaged = {url: error for url, error in zip(urls, found, strict=True) if isinstance(error, DamagedError)}
    if len(damaged) == len(set(urls)):
        raise damaged[urls[0]]
    return [no_samples() if isinstance(each, DamagedError) else each for each in found], damaged


def _found_or_damaged(find: Callable[[str], Found], url: str) -> Found | DamagedError:
    try:
        return find(url)
    except DamagedError as error:
        return error


def _load_index(
    urls: list[str], found: list[Found], cache: Cache, remote: RemoteShards, shard: int
) -> ShardIndex:
    url, index = urls[shard], found[shard].index
    if isinstance(index, ShardIndex):
        return index
    try:
        loaded = read_index(index)
    except OSError:  # the cache was emptied, or the file beside the tar removed
        again = (remote.find(url) if is_remote(url) else find_index(url, cache)).index
        loaded = again if isinstance(again, ShardIndex) else read_index(again)
    # for a remote shard, each answer is compared with the stamp
    if len(loaded) != found[shard].count or (not is_remote(url) and loaded.stamp != tar_stamp(url)):
        raise changed(url)
    return loaded


def _layout_of(index: Callable[[int], ShardIndex], shard: int) -> Layout:
    return Layout(index(shard))


def _open_shard(
    urls: list[str], cache: Cache, remote: RemoteShards, shard: int, stamp: Stamp
) -> Descriptor | Ranged:
    if is_remote(urls[shard]):
        return remote.open(urls[shard], stamp)
    with cache.open_tar(urls[shard], stamp) as file:
        # An unpacked copy: the stamp is that of the compressed file.
        is_copy = file.name != local_path(urls[shard])
        return Descriptor(file, urls[shard], None if is_copy else stamp)
