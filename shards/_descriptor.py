"""An open file that any number of threads read at once. It closes when no thread uses it any more."""

import os
from typing import BinaryIO


class Descriptor:
    """A separate descriptor for an open file. It is read by position, so threads and forked processes share no offset."""

    __slots__ = ("_number",)
    gap = 0  # bytes: a gap between two members that is cheaper to read than a second request

    def __init__(self, file: BinaryIO) -> None:
        self._number = -1
        self._number = os.dup(file.fileno())

    def __del__(self) -> None:
        if self._number >= 0:
            os.close(self._number)

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from byte ``offset``, fewer only at the end of the file."""
        data = os.pread(self._number, size, offset)
        if len(data) == size or not data:
            return data
        return data + self.read(offset + len(data), size - len(data))  # Linux reads 2 GiB at a time
