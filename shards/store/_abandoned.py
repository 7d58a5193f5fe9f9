"""Unfinished files, and folders of them, that killed processes left behind, removed by a later process.

A file that is being written is locked by its process, and the lock ends with the process. Between computers a lock may
not be seen, if the folder is mounted so. Therefore a file's name also says where it was begun. One from elsewhere, or from
before this computer was started, must not have changed for a week either.
"""

import fcntl
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

_LONGEST = 200  # characters of the name, so that the rest fits
_TEMPORARY = re.compile(r"\.(.+)\.([0-9a-f]{6})[0-9a-f]{6}\.tmp", re.DOTALL)
_FOLDER = re.compile(r"foveal-([0-9a-f]{6})\w+")
_WEEK = 7 * 24 * 60 * 60.0  # seconds


def name_in(temporary: str) -> str | None:
    """Return the beginning of the name that an unfinished file was to have; None if it is no such file."""
    match = _TEMPORARY.fullmatch(temporary)
    return None if match is None else match[1]


def short(name: str) -> str:
    """Return the part of a file's name that the names of its unfinished files contain."""
    return name[:_LONGEST]


class Unfinished:
    """A file that is being written beside ``path``, to replace it; on the disk from :meth:`open` on.

    It exists as an object before it does on the disk, so that it can be removed if Ctrl-C comes in between or while it
    is being opened.
    """

    def __init__(self, path: Path) -> None:
        self._final = path
        self.path = self._new_path()

    def open(self) -> BinaryIO:
        """Create and lock the file; return it, open."""
        while True:
            with suppress(FileExistsError):
                file = self.path.open("xb")
                if hold(file.fileno(), self.path):
                    return file
                file.close()
            self.path = self._new_path()

    def remove(self) -> None:
        """Remove the file, if there is one and it can be: what went wrong before is to be told."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _new_path(self) -> Path:
        return self._final.with_name(f".{short(self._final.name)}.{_here()}{secrets.token_hex(3)}.tmp")


def hold(descriptor: int, path: Path) -> bool:
    """Lock a file or folder until its descriptor is closed; return False if another process holds it, or has removed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:  # a file system without locks, where nobody can lock the file to remove it either
        return True


@cache
def remove_abandoned(folder: Path) -> None:
    """Remove the unfinished files in a folder that no living process writes, once in the life of this process.

    More often would take long, for each file that is written, in a folder of many files.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            match = _TEMPORARY.fullmatch(path.name)
            if match is not None:
                _remove_if_abandoned(path, is_from_here=match[2] == _here())


def _remove_if_abandoned(path: Path, *, is_from_here: bool) -> None:
    with suppress(OSError), path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_from_here or time.time() - os.fstat(file.fileno()).st_mtime > _WEEK:
            path.unlink()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder among the temporary files, and remove it at the end; if the process is killed, a later one does."""
    _remove_abandoned_folders(tempfile.gettempdir())
    folder, descriptor = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked_folder() -> tuple[Path, int]:
    """Make and lock a folder; return it, and the descriptor that holds the lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"foveal-{_here()}"))
        with suppress(FileNotFoundError):  # another process took it for an abandoned one
            descriptor = os.open(folder, os.O_RDONLY)
            if hold(descriptor, folder):
                return folder, descriptor
            os.close(descriptor)


@cache
def _remove_abandoned_folders(parent: str) -> None:
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            match = _FOLDER.fullmatch(entry.name)
            if match is not None and match[1] == _here():
                _remove_folder_if_abandoned(entry.path)


def _remove_folder_if_abandoned(path: str) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.geteuid():
                shutil.rmtree(path)
        finally:
            os.close(descriptor)


@cache
def _here() -> str:
    """Return six hexadecimal digits for this computer since its start, the same in all of its containers."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        started = platform.node()
    return hashlib.sha256(started.encode()).hexdigest()[:6]
