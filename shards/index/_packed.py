"""Compressed tars: recognised by their first bytes, and unpacked as a whole, because a compressed file has no random access."""

import bz2
import gzip
import importlib
import lzma
import os
import re
import zlib
from contextlib import suppress
from typing import Any, BinaryIO, cast

from foveal.shards._error import DamagedError, ShardError
from foveal.shards.index._xz import XzFile

_MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b"),
    # pzstd begins with a frame to be skipped.
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    # The whole signature: a tar may begin with a name like BZh.
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
}
_PIECE = 1 << 20  # bytes
# How gzip and zstd say that what follows a part does not begin another.
_NO_PART = re.compile("Not a gzipped file|.*Unknown frame descriptor")
# The farthest that zstd looks back, with --long=31; the memory is taken only for files that ask for it.
_ZSTD_WINDOW = 1 << 31


def packing_of(url: str, file: BinaryIO) -> str | None:
    """Return how a file is compressed: ``"gzip"``, ``"zstd"``, ``"bzip2"`` or ``"xz"``; None if it is not.

    Raises:
        ShardError: It cannot be read.
    """
    try:
        head = os.pread(file.fileno(), 10, 0)
    except OSError as error:
        raise ShardError(url, None, f"cannot be read: {error.strerror}") from error
    return next((kind for kind, magic in _MAGIC.items() if magic.match(head)), None)


def unpack(url: str, packed: BinaryIO, tar: BinaryIO) -> None:
    """Unpack as much as possible: a truncated file gives a truncated tar, which is read as one.

    Raises:
        DamagedError: The compressed data is damaged, or holds nothing.
        ShardError: It cannot be read, or is zstd-compressed, and the package for that is not installed.
        OSError: The tar cannot be written.
    """
    found = packing_of(url, packed)
    kind = found or "gzip"
    with _open(url, kind, packed) as unpacked, suppress(EOFError):
        while piece := _read(url, kind, unpacked, is_of_kind=found is not None):
            tar.write(piece)
    if tar.tell() == 0:
        raise DamagedError(
            url, None, f"holds nothing: the {kind} file is empty, or was cut in its first block"
        )


def _open(url: str, kind: str, packed: BinaryIO) -> Any:
    match kind:
        case "zstd":
            decoder = _zstd(url).ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            return decoder.stream_reader(packed, read_across_frames=True)
        case "bzip2":
            return bz2.open(packed)
        case "xz":
            return XzFile(packed)
        case _:
            return gzip.open(packed)


def _read(url: str, kind: str, unpacked: Any, *, is_of_kind: bool) -> bytes:
    try:
        # read() would lose what it has read if the file ends early.
        return cast("bytes", unpacked.read1(_PIECE))
    except EOFError:
        raise
    except Exception as error:
        if is_of_kind and _NO_PART.match(str(error)):
            return b""  # what stands behind the last part: gunzip ignores it, as bz2 and XzFile do
        damage = isinstance(error, zlib.error | lzma.LZMAError | gzip.BadGzipFile) or (
            isinstance(error, OSError) and error.errno is None  # as bz2 says it
        )
        if isinstance(error, OSError) and not damage:  # said here: writing fails with errors of the same kind
            raise ShardError(url, None, f"cannot be read: {error.strerror}") from error
        if not damage and type(error).__name__ != "ZstdError":
            raise
        raise DamagedError(url, None, f"is a damaged {kind} file: {error}") from error


def _zstd(url: str) -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        reason = "is zstd-compressed, which needs a package that is not installed: pip install 'foveal[zstd]', or unpack it"
        raise ShardError(url, None, reason) from error
