"""Files appear by rename: complete, or not at all."""

import errno
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LONGEST = 200  # characters of the name, so that the rest fits
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp", re.DOTALL)


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that replaces ``path`` when the block ends without an exception.

    If the file cannot be made or the disk is full, the error names ``path``.

    If the block raises, the old file is kept and the new one is removed. With ``sync`` the bytes are on the disk before
    the name is, so that also a power failure leaves either the old file or the new one. That takes milliseconds, so do
    not use it for what can be computed again.
    """
    temporary = path.with_name(f".{path.name[:_LONGEST]}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # Other errors may come from what the block reads, such as a connection that broke.
        if isinstance(error, OSError) and (error.errno in _FULL or error.filename == str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    if sync:
        _sync_folder(path.parent)


def leftovers(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the unfinished files that killed processes left of files with one of these names."""
    wanted = {name[:_LONGEST] for name in names}
    found = ((path, _TEMPORARY.fullmatch(path.name)) for path in folder.iterdir())
    return [path for path, match in found if match is not None and match[1] in wanted]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
