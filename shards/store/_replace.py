"""Files appear by rename: complete, or not at all."""

import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_LONGEST = 200  # characters of the name, so that there is room for the rest
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp", re.DOTALL)


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` when the block ends, and only if it ends well.

    An exception in the block leaves the old file, and no trace of the new one. With ``sync`` the bytes are on the disk
    before the name is, so that a power failure leaves the old file or the new one too. That takes milliseconds: not
    for what can be worked out again.
    """
    temporary = path.with_name(f".{path.name[:_LONGEST]}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        _sync_folder(path.parent)


def leftovers(folder: Path, names: Collection[str]) -> list[Path]:
    """Return what killed processes left of files that were to have one of these names."""
    wanted = {name[:_LONGEST] for name in names}
    found = ((path, _TEMPORARY.fullmatch(path.name)) for path in folder.iterdir())
    return [path for path, match in found if match is not None and match[1] in wanted]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
