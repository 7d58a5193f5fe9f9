"""The protocol of the helper process: a length, JSON, and bytes, in both directions. Nothing is pickled."""

import json
import struct
from typing import IO, Any


def send(stream: IO[bytes], facts: dict[str, Any], content: Any = b"") -> None:
    """Write a message."""
    view = memoryview(content).cast("B") if len(content) else memoryview(b"")
    words = json.dumps(facts).encode()
    stream.write(struct.pack("<QQ", len(words), len(view)) + words)
    stream.write(view)
    stream.flush()


def receive(stream: IO[bytes], most: int) -> tuple[dict[str, Any], bytearray]:
    """Read a message of a limited number of bytes.

    Raises:
        EOFError: The other process has ended.
    """
    head = _exactly(stream, 16)
    words, size = struct.unpack("<QQ", head)
    if words > 1 << 20 or size > most:
        raise EOFError(f"message too long: {words}, {size}")
    return json.loads(_exactly(stream, words)), _exactly(stream, size)


def _exactly(stream: IO[bytes], size: int) -> bytearray:
    content = bytearray(size)
    view, done = memoryview(content), 0
    while done < size:
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count
    return content
