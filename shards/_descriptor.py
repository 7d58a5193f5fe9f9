"""An open file that any number of threads read at once. It closes when no thread uses it any more."""

import os
from typing import BinaryIO

from foveal.shards._error import ShardError
from foveal.shards.index import Stamp, changed


class Descriptor:
    """A separate descriptor for an open file. It is read by position, so threads and forked processes share no offset.

    Args:
        file: The file.
        url: The shard, for messages.
        stamp: The state that the file must be in; None for a copy of Foveal's own, which is never written again.

    Raises:
        ShardError: There is no descriptor left.
    """

    __slots__ = ("_number", "_stamp", "_url")
    gap = 0  # bytes: a gap between two members that is cheaper to read than a second request

    def __init__(self, file: BinaryIO, url: str, stamp: Stamp | None = None) -> None:
        self._number = -1
        self._url, self._stamp = url, stamp
        try:
            self._number = os.dup(file.fileno())
        except OSError as error:
            raise ShardError(url, None, f"cannot be opened: {error.strerror}") from error

    def __del__(self) -> None:
        if self._number >= 0:
            os.close(self._number)

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from byte ``offset``, fewer only at the end of the file.

        Raises:
            ShardError: The file was written to.
        """
        data = self._read(offset, size)
        if self._stamp is not None and Stamp.of(os.fstat(self._number)) != self._stamp:
            raise changed(self._url)
        return data

    def _read(self, offset: int, size: int) -> bytes:
        data = os.pread(self._number, size, offset)
        if len(data) == size or not data:
            return data
        return data + self._read(offset + len(data), size - len(data))  # Linux reads 2 GiB at a time
