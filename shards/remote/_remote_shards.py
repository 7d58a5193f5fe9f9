"""Remote shards: their indexes, and the files that their samples are read from."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, BinaryIO, cast

from foveal.shards._descriptor import Descriptor
from foveal.shards.index import (
    Cache,
    Cut,
    Found,
    Stamp,
    UnusableError,
    agreed,
    find_fresh,
    kept,
    name_of,
    parse_stamp,
    scan,
)
from foveal.shards.naming import identity_of, index_url, is_packed, parse_size
from foveal.shards.remote._ranged import Ranged, RangedFile
from foveal.shards.remote._remote import NoRangesError, Remote
from foveal.shards.remote._shard_cache import ShardCache


class RemoteShards:
    """What :class:`Shards` needs for a shard that is not a local file.

    Args:
        cache: For indexes and unpacked shards.
        cache_size: Disk space for copies of whole shards, in bytes; None for no copies.
        storage_options: For fsspec's file system.
    """

    def __init__(
        self, cache: Cache, cache_size: int | str | None, storage_options: Mapping[str, Any] | None
    ) -> None:
        self._cache = cache
        self._remote = Remote(storage_options)
        self._copies = (
            None
            if cache_size is None
            else ShardCache(cache.folder / "shards", parse_size("cache_size", cache_size))
        )

    def interrupt(self) -> None:
        """Make all threads that wait for a server, now or later, raise ShardError at once."""
        self._remote.interrupt()

    def resume(self) -> None:
        """Allow threads to wait for servers again."""
        self._remote.resume()

    def find(self, url: str) -> Found:
        """Find a shard's index in the cache or beside the shard, or compute it from its headers. If it is cached, this is one request.

        Raises:
            ShardError: The shard cannot be read.
            DamagedError: The file exists and is not a shard.
        """
        stamp = self._remote.state(url)
        found = find_fresh(self._cache.index_path(url), stamp)
        if found is not None:
            return found
        if is_packed(url):
            return self._work_out(url, stamp, self._unpacked(url, stamp))
        try:
            return self._work_out(url, stamp, RangedFile(Ranged(self._remote, url, stamp), stamp.size))
        except NoRangesError:
            copy = self._copy(url, stamp)
            if copy is None:
                raise
            return self._work_out(url, stamp, copy)

    def open(self, url: str, stamp: Stamp) -> Descriptor | Ranged:
        """Open a shard in the state that its index belongs to: a copy, or the shard itself by ranges."""
        copy = self._unpacked(url, stamp) if is_packed(url) else self._copy(url, stamp)
        if copy is None:
            return Ranged(self._remote, url, stamp)
        with copy:
            return Descriptor(copy, url)

    def _work_out(self, url: str, stamp: Stamp, tar: BinaryIO | RangedFile) -> Found:
        complaint, adopted = None, None
        with tar:
            file = cast("BinaryIO", tar)
            try:
                adopted = self._adopt(url, stamp, file)
            except UnusableError as error:
                complaint = f"{index_url(identity_of(url))!r} {error}"
            lines, cut = scan(url, file) if adopted is None else adopted
        return kept(url, self._cache, stamp, lines, complaint=complaint, cut=cut)

    def _adopt(self, url: str, stamp: Stamp, tar: BinaryIO) -> tuple[list[bytes], Cut | None] | None:
        """Return the line of each sample and what is unusual about the tar's end, from the index beside the shard; None if there is none.

        The times of the two uploads say nothing about whether they belong together, so the size and the ends of the tar
        are compared.
        """
        text = self._remote.read_small(index_url(url))
        if text is None:
            return None
        written = parse_stamp(text)
        if written is not None and written.size != stamp.size:
            raise UnusableError("was written for another state of its tar")
        return agreed(url, text, tar, ends_only=True)

    def _copy(self, url: str, stamp: Stamp) -> BinaryIO | None:
        if self._copies is None or stamp.size > self._copies.size:
            return None
        open_copy = partial(
            self._copies.open,
            url,
            name_of(url),
            stamp,
            lambda: self._remote.pieces(url, stamp),
            lambda: self._remote.pause(url),
        )
        copy = open_copy()
        if copy is None and not self._remote.sends_parts(url):  # so there is no other way to read it
            return open_copy(needed=True)
        return copy

    def _unpacked(self, url: str, stamp: Stamp) -> BinaryIO:
        return self._cache.unpacked(url, stamp, lambda: self._fetch(url, stamp))

    def _fetch(self, url: str, stamp: Stamp) -> BinaryIO:
        with ExitStack() as closing:
            file = closing.enter_context(tempfile.TemporaryFile(dir=self._cache.folder))
            for piece in self._remote.pieces(url, stamp):
                file.write(piece)
            file.seek(0)
            closing.pop_all()
            return cast("BinaryIO", file)
