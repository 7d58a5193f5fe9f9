"""The text of DALI's index files, one line per sample.

    v1.2 47                                          version, samples
    cls 512 2 dir/a.cls jpg 1536 166535 dir/a.jpg    extension, offset and size in bytes, name; of each member
    ...
    # foveal 2 size=12154880 mtime_ns=1763717000000   the state of the tar this was written for

Of a remote tar the state is ``size=12154880 tag=%22b1946ac9%22``, its ETag or else its Last-Modified. If 10240 bytes
follow the tar's end mark, ``beyond=10240`` comes next. The 2 is the version of the rule by which samples are grouped: a
file with another number, or none, is checked like one of another tool. DALI reads as many lines as the first line says,
so our last line does not disturb it. v1.1 has no names.

Fields are separated by white space, so DALI cannot be given a name that contains some. In lines that only Foveal reads
(in memory, in the cache) such a byte, and an empty field, is written as a NUL and a letter, and a member that the tar
does not hold in one piece has a negative offset.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

from foveal.shards.index._tar import Member

_SPECIAL = {
    b"": b"\0e",
    b" ": b"\0s",
    b"\t": b"\0t",
    b"\n": b"\0n",
    b"\v": b"\0v",
    b"\f": b"\0f",
    b"\r": b"\0r",
    b"\0": b"\0z",
}
_PLAIN = {escape: byte for byte, escape in _SPECIAL.items()}
_HEADER = re.compile(rb"v1\.([12]) (\d+)\s*$")
TAIL = 1024  # bytes at the end of an index file: more than its last line has
LONGEST_TAG = 256  # characters, up to three bytes each when quoted
_STAMP = re.compile(rb"(?:^|\n)# foveal 2 size=(\d+) (?:mtime_ns=(-?\d+)|tag=(\S*))(?: beyond=(\d+))?\n$")
_FIELDS = {
    b"1": re.compile(rb"(\S+) (\d+) (\d+)(?: |$)"),
    # DALI's own tool does not escape spaces in names. A name ends with its extension, which shows where it ends.
    b"2": re.compile(rb"(\S.*?) (\d+) (\d+) (\S.*?\.\1)(?: |$)"),
}


class Stamp(NamedTuple):
    """The state of a tar that an index was written for.

    Attributes:
        size: In bytes.
        mtime_ns: Time of its last change; None for a remote tar.
        tag: The server's name for this state, as sent: the ETag, or else the Last-Modified, or else nothing.
    """

    size: int
    mtime_ns: int | None
    tag: str | None = None

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """Return the stamp of a file, from its ``os.stat``."""
        return cls(status.st_size, status.st_mtime_ns)

    def __str__(self) -> str:
        state = f"mtime_ns={self.mtime_ns}" if self.tag is None else f"tag={quote(self.tag, safe='')}"
        return f"size={self.size} {state}"

    @property
    def digest(self) -> str:
        """A name for the state that can be part of a file name."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:16]


class Entry(NamedTuple):
    """One member as an index file of another tool lists it; v1.1 has no names."""

    ext: str
    offset: int
    size: int
    name: str | None


def format_index(lines: Sequence[bytes], stamp: Stamp, beyond: int = 0) -> bytes:
    """Return the whole text of the index file of a tar; ``beyond`` bytes follow the tar's end mark."""
    last = f"# foveal 2 {stamp}{f' beyond={beyond}' if beyond else ''}\n".encode()
    return b"\n".join((b"v1.2 %d" % len(lines), *lines, last))


def format_line(sample: Iterable[Member]) -> bytes:
    """Return one sample's line."""
    fields = ((_quote(m.ext), b"%d" % m.offset, b"%d" % m.size, _quote(m.name)) for m in sample)
    return b" ".join(field for member in fields for field in member)


def parse_line(line: bytes) -> list[Member]:
    """Return the members of one line as :func:`format_line` wrote it.

    Raises:
        ValueError: The line is not one of ours.
    """
    fields = line.split(b" ")
    return [
        Member(_unquote(name).removesuffix("." + _unquote(ext)), _unquote(ext), int(offset), int(size))
        for ext, offset, size, name in zip(*(iter(fields),) * 4, strict=True)
    ]


def is_quoted(line: bytes) -> bool:
    """Return whether a name in the line has white space, so that DALI would misread it."""
    return b"\0" in line


def parse_beyond(tail: bytes) -> int:
    """Return how many bytes follow the end mark of the tar, read from the end of an index file that Foveal wrote."""
    match = _STAMP.search(tail)
    return int(match[4]) if match is not None and match[4] is not None else 0


def parse_count(head: bytes) -> int | None:
    """Return the number of samples from the start of an index file; None if the file is not an index."""
    match = _HEADER.match(head.partition(b"\n")[0])
    return None if match is None else int(match[2])


def parse_stamp(tail: bytes) -> Stamp | None:
    """Return Foveal's stamp from the end of an index file; None if it has none."""
    match = _STAMP.search(tail)
    if match is None:
        return None
    if match[3] is not None:
        return Stamp(int(match[1]), None, unquote(match[3].decode()))
    return Stamp(int(match[1]), int(match[2]))


def parse_entries(text: bytes) -> list[list[Entry]]:
    """Return what an index file of any tool lists, as one list per line.

    Raises:
        ValueError: A line says something else, or a line is missing; the message names the line.
    """
    first, *lines = text.removesuffix(b"\n").split(b"\n")
    header = _HEADER.match(first)
    if header is None:
        raise ValueError("line 1 must be 'v1.1' or 'v1.2' and the number of samples")
    version, count = header[1], int(header[2])
    if len(lines) < count:
        raise ValueError(f"{count} samples are announced, there are {len(lines)} lines of them")
    return [_parse_entries(version, lines[k], k + 2) for k in range(count)]


def _parse_entries(version: bytes, line: bytes, number: int) -> list[Entry]:
    matches = list(_FIELDS[version].finditer(line.rstrip()))
    if not matches or sum(len(match[0]) for match in matches) != len(line.rstrip()):
        raise ValueError(
            f"line {number} is not made of extension, offset, size{' and name' * (version == b'2')}"
        )
    texts = [[_text(field) for field in match.groups()] for match in matches]
    return [
        Entry(ext, int(offset), int(size), name[0] if name else None) for ext, offset, size, *name in texts
    ]


def _text(field: bytes) -> str:
    return field.decode("utf-8", "surrogateescape")


def _quote(text: str) -> bytes:
    field = text.encode("utf-8", "surrogateescape")
    return re.sub(rb"[ \t\n\v\f\r\0]|^$", lambda match: _SPECIAL[match[0]], field)


def _unquote(field: bytes) -> str:
    if b"\0" in field:
        field = re.sub(rb"\0.", lambda match: _PLAIN[match[0]], field)
    return _text(field)
