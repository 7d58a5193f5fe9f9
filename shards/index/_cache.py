"""The cache folder: indexes that cannot be written beside their tar, and unpacked tars."""

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from foveal.shards._error import ShardError
from foveal.shards.index._idx_format import Stamp
from foveal.shards.index._packed import packing_of, unpack
from foveal.shards.naming import identity_of, is_remote, local_path, place_of
from foveal.shards.store import open_regular, replacing


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder that may be emptied at any time. Files are named by a hash of the tar's name.

    That name is its absolute path with links resolved, or its URL without secrets.
    """

    folder: Path

    @classmethod
    def at(cls, folder: str | os.PathLike[str] | None) -> "Cache":
        """Return the cache in ``folder``, None for the user's own (``$XDG_CACHE_HOME`` or ``~/.cache``)."""
        if folder is not None:
            return cls(Path(place_of("cache_dir", folder)).absolute())
        return cls(Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "foveal")

    def index_path(self, url: str) -> Path:
        """Return where the index of a shard is kept."""
        return self.folder / f"{name_of(url)}.idx"

    def store(self, path: Path, content: bytes) -> bool:
        """Write a file of the cache; return False if the folder cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(content)
        except OSError:
            return False
        return True

    def open_tar(self, url: str, stamp: Stamp | None = None) -> BinaryIO:
        """Open a shard for reading; a compressed one is unpacked into the cache first, once.

        Args:
            url: The shard.
            stamp: The state that its file must be in; None for any.

        Raises:
            ShardError: It cannot be opened or unpacked, or is in another state.
        """
        with ExitStack() as closing:
            file = closing.enter_context(open_local(url))
            now = Stamp.of(os.fstat(file.fileno()))
            if stamp is not None and now != stamp:
                raise changed(url)
            if packing_of(url, file) is not None:
                return self.unpacked(url, now, lambda: file)
            closing.pop_all()
            return file

    def unpacked(self, url: str, stamp: Stamp, open_packed: Callable[[], BinaryIO]) -> BinaryIO:
        """Open the unpacked copy of a compressed shard; ``open_packed`` is called if there is no copy of this state yet.

        Raises:
            ShardError: It cannot be unpacked, or ``open_packed`` raised it.
        """
        path = self.folder / f"{name_of(url)}-{stamp.digest}.tar"
        with suppress(FileNotFoundError, NotADirectoryError):
            return open_regular(path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open_packed() as packed, replacing(path) as tar:
                unpack(url, packed, tar)
            _remove_older(path, name_of(url))
            return open_regular(path)
        except OSError as error:
            reason = (
                f"cannot be unpacked into {str(self.folder)!r}: {error.strerror}: unpack it, or set cache_dir"
            )
            raise ShardError(url, None, reason) from error


def _home() -> Path:
    """Return the user's folder; one in which nothing can be kept if the system does not know it."""
    with suppress(RuntimeError):
        return Path.home()
    return Path(os.devnull)


def changed(url: str) -> ShardError:
    """Return the error of a shard whose index belongs to an earlier state of its file."""
    return ShardError(url, None, "has changed since it was opened: open it again")


def open_local(url: str) -> BinaryIO:
    """Open a shard's file as it is, without a buffer.

    Raises:
        ShardError: It cannot be opened, or is a folder, or a pipe or the like.
    """
    try:
        # This comes before opening, which waits for a pipe's writer.
        _check_kind(url, Path(local_path(url)).stat().st_mode)
        return open(local_path(url), "rb", buffering=0)  # noqa: PTH123 - Path("") would be the folder
    except IsADirectoryError as error:
        inside = f"{url.rstrip('/')}/*.tar"
        raise ShardError(
            url,
            None,
            f"cannot be opened: it is a folder – name the shards in it, such as {inside!r}; `foveal pack` writes images of a folder to shards",
        ) from error
    except OSError as error:
        raise ShardError(url, None, f"cannot be opened: {error.strerror}") from error


def _check_kind(url: str, mode: int) -> None:
    """Refuse what can only be read from its beginning to its end."""
    kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device"}
    kind = kinds.get(stat.S_IFMT(mode))
    if kind is not None:
        reason = f"is a {kind}, and shards are read at any position – save it to a file first"
        raise ShardError(url, None, reason)


def _remove_older(path: Path, name: str) -> None:
    for other in path.parent.glob(f"{name}-*.tar"):
        if other != path:
            other.unlink(missing_ok=True)


def name_of(url: str) -> str:
    """Return the name of a shard in the cache."""
    what = identity_of(url) if is_remote(url) else Path(local_path(url)).resolve()
    return hashlib.sha256(os.fsencode(what)).hexdigest()[:32]
