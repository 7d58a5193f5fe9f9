"""Bytes of remote files: each request returns the right bytes, of the expected state of the file, or raises ShardError."""

import importlib
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import ModuleType
from typing import Any

import fsspec

from foveal.shards._error import DamagedError, RemoteError
from foveal.shards.index import Stamp, UnusableError
from foveal.shards.naming import known_options, scheme_of
from foveal.shards.remote._answer import Answer, Asked
from foveal.shards.remote._retry import (
    ChangedError,
    GivenUpError,
    InterruptedReadError,
    LastingError,
    persistently,
)
from foveal.shards.remote._waits import Heard, Waits

# Bytes: about as many as arrive in the time of one request, so a smaller gap is not worth a request.
ROUND_TRIP = 1 << 20
PIECE = 1 << 24  # bytes of one request of a download
TIMEOUT = 30.0  # seconds without any byte until a request is given up: a slow line is no reason to
LISTING_TIMEOUT = 600.0  # seconds: a list comes in many requests, a thousand names in each
_MOMENT = 0.1  # seconds
_LARGEST_INDEX = 1 << 26  # bytes: enough for half a million samples

# File systems are kept for the life of the process: closing a forked copy would break the parent's.
_KEPT: dict[int, Any] = {}


class NoRangesError(RemoteError):
    """The server sends whole files only."""


class Remote:
    """Reads remote files through fsspec, from any number of threads, and after a fork.

    Args:
        options: Handed to fsspec's file system.
    """

    def __init__(self, options: Mapping[str, Any] | None) -> None:
        self._options = dict(options or {})
        # One for each process: an event loop does not survive a fork.
        self._open: dict[tuple[int, str], Any] = {}
        self._waits = Waits()

    def __getstate__(self) -> dict[str, Any]:
        return {"_options": self._options, "_open": {}, "_waits": self._waits}

    def interrupt(self) -> None:
        """Make all threads that wait for a server, now or later, raise ShardError at once."""
        self._waits.interrupt()

    def resume(self) -> None:
        """Allow threads to wait for servers again."""
        if self._waits.interrupted:
            self._waits = Waits()

    def pause(self, url: str) -> None:
        """Wait a moment for another download.

        Raises:
            ShardError: Waiting was interrupted.
        """
        self._waits.pause(_MOMENT)
        if self._waits.interrupted:
            raise RemoteError(url, None, "reading was interrupted")

    def state(self, url: str) -> Stamp:
        """Return the present state of a file.

        Raises:
            ShardError: It is empty, does not exist, or cannot be reached.
        """
        return self._first_byte(url).stamp

    def sends_parts(self, url: str) -> bool:
        """Return whether the server sends parts of a file. Raises as :meth:`state` does."""
        return self._first_byte(url).body is not None

    def _first_byte(self, url: str) -> Answer:
        try:
            return self._ask(url, 0, 1)  # not HEAD, which signed URLs and some servers refuse
        except ChangedError:
            raise DamagedError(url, None, "is an empty file, not a tar") from None
        except LastingError as error:
            raise RemoteError(url, None, str(error)) from error

    def read(self, url: str, start: int, size: int, stamp: Stamp) -> bytes:
        """Return ``size`` bytes from byte ``start``, of this state of the file.

        Raises:
            NoRangesError: The server sends whole files only, and this is not all of it.
            ShardError: The file has changed, or cannot be read.
        """
        try:
            answer = self._ask(url, start, size, stamp)
        except ChangedError as error:
            raise _changed(url) from error
        except LastingError as error:
            raise RemoteError(url, None, str(error)) from error
        if answer.stamp != stamp:
            raise _changed(url)
        if answer.body is None:
            reason = (
                "its server sends no parts of files: set cache_size (foveal train: --cache-size) to at least the "
                f"{stamp.size:,} bytes of this shard, so that whole shards are kept, or copy the shards to a disk"
            )
            raise NoRangesError(url, None, reason)
        return answer.body

    def pieces(self, url: str, stamp: Stamp) -> Iterator[bytes]:
        """Yield all of a file, 16 MiB at a time, or at once if the server does not support ranges."""
        try:
            yield self.read(url, 0, min(PIECE, stamp.size), stamp)
        except NoRangesError:
            yield self.read(url, 0, stamp.size, stamp)
            return
        for start in range(PIECE, stamp.size, PIECE):
            yield self.read(url, start, min(PIECE, stamp.size - start), stamp)

    def read_small(self, url: str) -> bytes | None:
        """Return all of a small file; None if the server does not send one.

        Raises:
            UnusableError: There may be one, but each attempt to read it failed.
            ShardError: Reading was interrupted.
        """
        try:
            answer = self._ask(url, 0, _LARGEST_INDEX)
        except GivenUpError as error:
            raise UnusableError(error.attempts) from error
        except InterruptedReadError as error:
            raise RemoteError(url, None, str(error)) from error
        except LastingError:  # whatever its status is: nobody said that there is such a file
            return None
        return answer.body if answer.stamp.size <= _LARGEST_INDEX else None

    def glob(self, url: str) -> list[str]:
        """Return the URLs that a pattern matches, sorted.

        Raises:
            ShardError: The server does not answer.
        """
        fs, protocol = self._connect(url)
        fs.invalidate_cache()
        try:
            found = self._persistently(url, fs, lambda _heard: protocol.find(fs, url), LISTING_TIMEOUT)
        except LastingError as error:
            raise RemoteError(url, None, str(error)) from error
        return [f"{scheme_of(url)}://{path}" for path in sorted(found)]

    def _ask(self, url: str, start: int, size: int, stamp: Stamp | None = None) -> Answer:
        fs, protocol = self._connect(url)
        asked = Asked(url, start, size, None if stamp is None else stamp.tag)
        answer: Answer = self._persistently(url, fs, lambda heard: protocol.ask(fs, asked, heard), TIMEOUT)
        return answer

    def _persistently(
        self, url: str, fs: Any, ask: Callable[[Heard], Coroutine[Any, Any, Any]], limit: float
    ) -> Any:
        waits = self._waits
        with known_options(scheme_of(url)):
            return persistently(lambda: waits.answer(fs.loop, ask, limit), waits.pause)

    def _connect(self, url: str) -> tuple[Any, ModuleType]:
        scheme = scheme_of(url)
        family = "http" if scheme == "https" else scheme
        key = os.getpid(), family
        try:
            protocol = importlib.import_module(f"foveal.shards.remote._{family}")
            if key not in self._open:
                self._open[key] = _open(family, protocol.OPTIONS, self._options)
        except ImportError as error:
            reason = f"needs a package that is not installed: pip install 'foveal[{family}]'"
            raise RemoteError(url, None, reason) from error
        return self._open[key], protocol


def _changed(url: str) -> RemoteError:
    return RemoteError(url, None, "has changed since its index was read: open it again")


def _open(family: str, ours: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    nested = {name: {**options.get(name, {}), **value} for name, value in ours.items()}
    fs = fsspec.filesystem(family, **{**options, **nested})
    fs.retries = 1  # it has its own
    _KEPT[id(fs)] = fs
    return fs
