"""An open file that any number of threads read at once, and that closes when the last of them lets go."""

import os
from typing import BinaryIO


class Descriptor:
    """A descriptor of its own for an open file, read by position: threads and forked processes share no offset."""

    __slots__ = ("_number",)
    gap = 0  # bytes between two members that are cheaper to read along than to ask again

    def __init__(self, file: BinaryIO) -> None:
        self._number = -1
        self._number = os.dup(file.fileno())

    def __del__(self) -> None:
        if self._number >= 0:
            os.close(self._number)

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from byte ``offset``, fewer only where the file ends."""
        data = os.pread(self._number, size, offset)
        if len(data) == size or not data:
            return data
        return data + self.read(offset + len(data), size - len(data))  # Linux reads 2 GiB at a time
