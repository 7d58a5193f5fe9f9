"""Reads xz files of several streams."""

import lzma
from typing import BinaryIO, Self

_MAGIC = b"\xfd7zXZ\0"
_PIECE = 1 << 20  # bytes


class XzFile:
    """The content of an xz file, as `xz -d` writes it.

    `lzma.open` ends without an error at padding between two streams, which the format allows.

    Args:
        packed: The file, from its first byte on. It stays open.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._decoder = lzma.LZMADecompressor()
        self._input = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read1(self, size: int) -> bytes:
        """Return at most this many bytes; none at the end.

        Raises:
            EOFError: The file is truncated.
            lzma.LZMAError: It is damaged.
        """
        content = b""
        while not content:
            if self._decoder.eof and not self._begin_next():
                return b""
            if self._decoder.needs_input and not self._input:
                self._input = self._packed.read(_PIECE)
                if not self._input:
                    raise EOFError("the file ends before its last stream does")
            content = self._decoder.decompress(self._input, size)
            self._input = b""
        return content

    def _begin_next(self) -> bool:
        """Skip the padding; return whether another stream begins behind it."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while len(rest) < len(_MAGIC) and (more := self._packed.read(_PIECE)):
            rest = (rest + more).lstrip(b"\0")
        self._decoder, self._input = lzma.LZMADecompressor(), rest
        return rest.startswith(_MAGIC)
