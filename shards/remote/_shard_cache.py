"""Copies of whole remote shards in a folder of limited size, shared by the processes of a machine.

A download is written to ``NAME.part``. This file is the download's lock, and it has the length of the shard from the
start, which reserves the disk space. When it is complete, it is renamed to ``NAME.tar``. The lock is the operating
system's and ends with the process that holds it, so a file that a killed process left behind is recognised by being
unlocked. The modification time of a copy is the time of its last use.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from foveal.shards._error import ShardError
from foveal.shards.index import Stamp
from foveal.shards.store import open_regular


@dataclass(frozen=True, slots=True)
class ShardCache:
    """A folder of at most ``size`` bytes."""

    folder: Path
    size: int

    def open(
        self,
        url: str,
        name: str,
        stamp: Stamp,
        download: Callable[[], Iterable[bytes]],
        pause: Callable[[], None],
        *,
        needed: bool = False,
    ) -> BinaryIO | None:
        """Open the copy of a shard, and download it first if there is none. One process downloads, others wait.

        Args:
            url: The shard, for messages.
            name: Its name in the folder.
            stamp: The state that the copy must be of.
            download: Yields its bytes.
            pause: Called again and again while another process downloads this shard. It sleeps a moment, or raises an error.
            needed: Whether to wait also for downloads of other shards, as long as they take the room.

        Returns:
            The open file, which stays readable if the copy is removed to make room; None if there is not enough room.

        Raises:
            ShardError: The folder cannot be written, or ``download`` or ``pause`` raised it.
        """
        if stamp.size > self.size:
            return None
        path = self.folder / f"{name}-{stamp.digest}.tar"
        try:
            return _use(path) or self._add(path, stamp.size, download, pause, needed=needed)
        except OSError as error:
            reason = f"cannot be kept in {str(self.folder)!r}: {error.strerror}: set another cache_dir"
            raise ShardError(url, None, reason) from error

    def _add(
        self,
        path: Path,
        size: int,
        download: Callable[[], Iterable[bytes]],
        pause: Callable[[], None],
        *,
        needed: bool,
    ) -> BinaryIO | None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".part"), pause) as part:
            present = _use(path)  # another process was faster
            if present is not None:
                return present
            while not self._claim(part, path, size):
                if not needed:
                    return None
                pause()
            for piece in download():
                part.write(piece)
            part.flush()
            os.fsync(part.fileno())  # otherwise a power failure might leave the name without the bytes
            path.with_suffix(".part").rename(path)
            return _use(path)

    def _claim(self, part: BinaryIO, path: Path, size: int) -> bool:
        """Make room for a copy; return False if the downloads of other processes leave too little."""
        shard, ours = path.name.partition("-")[0], path.with_suffix(".part")
        with _locked(self.folder / "room.lock", keep=True):
            claimed = sum(_claimed(other) for other in self.folder.glob("*.part") if other != ours)
            if claimed + size > self.size:
                return False
            self._evict(shard, self.size - claimed - size)
            part.truncate(size)
        return True

    def _evict(self, shard: str, room: int) -> None:
        """Remove copies of other states of this shard, then the longest unused copies, until the rest fits into ``room``."""
        copies = []
        for copy in self.folder.glob("*.tar"):
            if copy.name.startswith(shard):
                copy.unlink(missing_ok=True)
            else:
                status = copy.stat()
                copies.append((status.st_mtime_ns, status.st_size, copy))
        taken = sum(size for _, size, _ in copies)
        for _, size, copy in sorted(copies):
            if taken <= room:
                break
            copy.unlink(missing_ok=True)
            taken -= size


def _use(path: Path) -> BinaryIO | None:
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # of another user, or on a disk that may only be read: it counts as unused then
        os.utime(file.fileno())
    return file


def _claimed(part: Path) -> int:
    """Return the bytes that the download of another process will take; the file of a process that has died is removed."""
    with suppress(FileNotFoundError), open_regular(part) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.fstat(file.fileno()).st_size
        part.unlink(missing_ok=True)
        fcntl.flock(file, fcntl.LOCK_UN)
    return 0


@contextmanager
def _locked(path: Path, pause: Callable[[], None] | None = None, *, keep: bool = False) -> Iterator[BinaryIO]:
    """Lock a file, against threads of this process, too. It is removed at the end unless it was renamed or is to be kept."""
    with _acquired(path, pause) as file:
        try:
            yield file
        finally:
            if not keep and _is_at(file, path):
                path.unlink()
            # Unlocked explicitly, because a forked child may hold the file open.
            fcntl.flock(file, fcntl.LOCK_UN)


def _acquired(path: Path, pause: Callable[[], None] | None) -> BinaryIO:
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            _lock(file, pause)
        except BaseException:
            file.close()
            raise
        if _is_at(file, path):
            file.truncate(0)
            return file
        file.close()  # the process that held it has renamed or removed it


def _lock(file: BinaryIO, pause: Callable[[], None] | None) -> None:
    """Lock an open file. With ``pause``, which is called while another has it: a thread that the system lets wait can't be interrupted."""
    while pause is not None:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        pause()
    fcntl.flock(file, fcntl.LOCK_EX)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
