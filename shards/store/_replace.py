"""Files appear by rename: complete, or not at all."""

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from foveal.shards.store._abandoned import Unfinished, name_in, remove_abandoned, short

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: OSError) -> bool:
    """Return whether an error says that there is no room for a file: of the disk, of a quota, or of a process's limit."""
    return error.errno in _FULL


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Let each error of the system in this block name a file. Those of writing and closing name none themselves."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears complete; if it cannot be written, an old one is kept, and the error names it.

    A link stays, and its file is replaced. A pipe or a device, such as ``/dev/stdout``, is written to.
    """
    with errors_name(path):
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        with replacing(path.resolve()) as file:
            file.write(content)


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that replaces ``path`` when the block ends without an exception.

    If the file cannot be made or the disk is full, the error names ``path``.

    If the block raises, the old file is kept and the new one is removed. With ``sync`` the bytes are on the disk before
    the name is, so that also a power failure leaves either the old file or the new one. That takes milliseconds, so do
    not use it for what can be computed again.

    If the process is killed, the new file stays, hidden, until a later process writes to this folder.
    """
    remove_abandoned(path.parent.absolute())
    unfinished = Unfinished(path)
    try:
        with errors_name(path):
            file = unfinished.open()
        # Closing may fail, so it comes before the renaming; and until then the file has to be locked.
        with os.fdopen(os.dup(file.fileno()), "wb"):
            with file:
                yield file
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            unfinished.path.replace(path)
    except BaseException as error:
        unfinished.remove()
        # Other errors may come from what the block reads, such as a connection that broke.
        if isinstance(error, OSError) and (
            error.filename == str(unfinished.path) or (error.filename is None and is_full(error))
        ):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    if sync:
        _sync_folder(path.parent)


def leftovers(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the unfinished files that killed processes left of files with one of these names."""
    wanted = {short(name) for name in names}
    return [path for path in folder.iterdir() if name_in(path.name) in wanted]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
