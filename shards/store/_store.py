"""A folder to write to, local or on an object store, in which a file appears complete or not at all."""

import contextlib
import hashlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from foveal.shards.naming import has_other_scheme, known_options, local_path, scheme_of
from foveal.shards.store._abandoned import temporary_folder
from foveal.shards.store._replace import is_full, leftovers, replacing


class StoreError(OSError):
    """A file of a store cannot be written or read. Reads as ``url cannot be written: reason``."""


class Store(ABC):
    """A folder of files.

    Attributes:
        url: Where it is.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") or "/"

    def url_of(self, name: str) -> str:
        """Return the URL of one of its files."""
        return f"{self.url}/{name}"

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, and replace an existing one.

        Raises:
            StoreError: It could not be written; an old one is kept.
        """
        with self.new_file(name) as path, replacing(path, sync=True) as file:
            file.write(content)

    @contextlib.contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """Return a local path to write to. When the block ends without an exception, the file appears under its name.

        Raises:
            StoreError: It could not be written.
        """
        with self._told(name), self._publishing(name) as path:
            yield path

    @abstractmethod
    def names(self) -> dict[str, int]:
        """Return the names of the files, and how many bytes each has."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a file, which must exist."""

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file's content in hexadecimal digits; the file may be of any size."""
        with self.opened(name) as file:
            return hashlib.file_digest(cast("Any", file), "sha256").hexdigest()

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """Open a file, which must exist, to read parts of it."""
        with self._told(name, "read"), self._open(name) as file:
            yield file

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""

    @abstractmethod
    def sweep(self, names: Collection[str]) -> None:
        """Remove the unfinished files that killed processes left of files with these names."""

    @abstractmethod
    def _open(self, name: str) -> BinaryIO:
        """Implement :meth:`opened`."""

    @abstractmethod
    def _publishing(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """Implement :meth:`new_file`."""

    @contextlib.contextmanager
    def _told(self, name: str, what: str = "written") -> Iterator[None]:
        try:
            with known_options(scheme_of(self.url)):
                yield
        except StoreError:
            raise
        except Exception as error:
            if not isinstance(error, OSError) and not _is_of_client(error):
                raise
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            url = self.url if name == "." else self.url_of(name)
            raise StoreError(f"{url} cannot be {what}: {reason}") from error


class Folder(Store):
    """A folder on a local disk. It is created if it does not exist."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._path = Path(local_path(self.url))
        with self._told("."):
            self._path.mkdir(parents=True, exist_ok=True)

    def names(self) -> dict[str, int]:
        with self._told(".", "listed"), os.scandir(self._path) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def read(self, name: str) -> bytes:
        with self._told(name, "read"):
            return (self._path / name).read_bytes()

    def remove(self, name: str) -> None:
        with self._told(name, "removed"):
            (self._path / name).unlink(missing_ok=True)

    def sweep(self, names: Collection[str]) -> None:
        with self._told(".", "cleared"):
            for path in leftovers(self._path, names):
                path.unlink(missing_ok=True)

    def _open(self, name: str) -> BinaryIO:
        return (self._path / name).open("rb")

    @contextlib.contextmanager
    def _publishing(self, name: str) -> Iterator[Path]:
        yield self._path / name  # files are written there by rename only


class ObjectStore(Store):
    """A folder on S3 or Google Cloud Storage, where an upload that failed leaves no visible file."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        super().__init__(url)
        self._fs = fsspec.filesystem(scheme_of(url), **options)

    def names(self) -> dict[str, int]:
        self._fs.invalidate_cache()
        with self._told(".", "listed"):
            try:
                entries = self._fs.ls(self.url, detail=True)
            except FileNotFoundError:  # a prefix without files
                return {}
        files = (entry for entry in entries if entry["type"] == "file")
        return {entry["name"].rpartition("/")[2]: entry["size"] for entry in files}

    def read(self, name: str) -> bytes:
        with self._told(name, "read"):
            return bytes(self._fs.cat_file(self.url_of(name)))

    def remove(self, name: str) -> None:
        with self._told(name, "removed"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self.url_of(name))

    def sweep(self, names: Collection[str]) -> None:
        """Do nothing: unfinished files are in a folder for temporary files, where that machine removes them."""

    def _open(self, name: str) -> BinaryIO:
        return cast("BinaryIO", self._fs.open(self.url_of(name), "rb"))

    @contextlib.contextmanager
    def _publishing(self, name: str) -> Iterator[Path]:
        with contextlib.ExitStack() as block:
            with _in_temporary_files():
                path = block.enter_context(temporary_folder()) / name
                yield path
            self._fs.put_file(str(path), self.url_of(name))


@contextlib.contextmanager
def _in_temporary_files() -> Iterator[None]:
    """Let a full disk be named: otherwise it would read as if there was no room on the server."""
    try:
        yield
    except OSError as error:
        folder = tempfile.gettempdir()
        if not (is_full(error) and os.fsdecode(error.filename or folder).startswith(folder)):
            raise
        reason = f"{error.strerror} in {folder!r}, where it is made before it is sent – set TMPDIR to a folder with more room"
        raise OSError(error.errno, reason) from error


def open_store(url: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Store:
    """Open a folder to write to.

    Args:
        url: A local folder, also as a ``file:`` URL, or a prefix on ``s3://`` or ``gs://``.
        storage_options: For fsspec's file system of a remote one.

    Raises:
        ValueError: It is empty, or has another scheme.
        StoreError: The folder cannot be created.
    """
    text = os.fspath(url)
    if not text:
        raise ValueError("out must not be empty, got ''.")
    if not has_other_scheme(text):
        return Folder(text)
    if scheme_of(text) not in ("s3", "gs"):
        raise ValueError(f"out must be a local folder or start with s3:// or gs://, got {text!r}.")
    return ObjectStore(text, storage_options or {})


def _is_of_client(error: Exception) -> bool:
    """Return whether an error is one that clients of object stores raise besides OSError."""
    return {kind.__module__.partition(".")[0] for kind in type(error).__mro__} & _CLIENTS != set()


_CLIENTS = {"botocore", "aiobotocore", "aiohttp", "gcsfs"}
