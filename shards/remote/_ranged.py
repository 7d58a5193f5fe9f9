"""A remote file that can be read like a local one: by position for samples, by seeking and reading for its headers."""

import io
import os

from foveal.shards.index import Stamp
from foveal.shards.remote._remote import ROUND_TRIP, Remote

_FIRST_READ = 1 << 16  # bytes
_LONGEST_READ = 1 << 23


class Ranged:
    """A remote tar that is read by ranges, all of one state."""

    gap = ROUND_TRIP

    def __init__(self, remote: Remote, url: str, stamp: Stamp) -> None:
        self._remote, self._url, self._stamp = remote, url, stamp

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from byte ``offset``, fewer only where the file ends."""
        size = min(size, self._stamp.size - offset)
        return self._remote.read(self._url, offset, size, self._stamp) if size > 0 else b""


class RangedFile(io.RawIOBase):
    """A remote file that can be sought and read, and that reads ahead.

    If a tar has large members, only their headers are fetched, 64 KiB each. Gaps that take less time than a round trip
    are read as well, in requests that grow, because a request for each header of a thousand small files would take longer.
    """

    def __init__(self, tar: Ranged, size: int) -> None:
        super().__init__()
        self._tar, self._size = tar, size
        self._position = self._start = 0
        self._ahead, self._buffer = _FIRST_READ, b""

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte, and return its number."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the current position."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, fewer only where the file ends."""
        end = self._size if size < 0 else min(self._position + size, self._size)
        if self._position >= end:
            return b""
        if not self._start <= self._position < end <= self._start + len(self._buffer):
            self._fetch(end)
        data = self._buffer[self._position - self._start : end - self._start]
        self._position = end
        return data

    def _fetch(self, end: int) -> None:
        skipped = self._position - (self._start + len(self._buffer))
        reads_on = bool(self._buffer) and abs(skipped) < ROUND_TRIP
        self._ahead = min(2 * self._ahead, _LONGEST_READ) if reads_on else _FIRST_READ
        self._start = self._position
        self._buffer = self._tar.read(self._start, max(end - self._start, self._ahead))
