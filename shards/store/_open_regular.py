"""Opening files that somebody else may have put there: an index beside a shard, what is in the cache."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, without a buffer.

    Raises:
        OSError: It cannot be opened; or it is a pipe or a device, from which reading may never end.
    """
    file = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe without waiting for its writer; for files the flag means nothing."""
    return os.open(path, flags | os.O_NONBLOCK)
