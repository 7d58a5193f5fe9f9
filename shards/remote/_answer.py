"""A server's answer to a request for a range of bytes, and the checks that it must pass."""

import re
from collections.abc import AsyncIterable, Mapping
from typing import NamedTuple

from foveal.shards.index import LONGEST_TAG, Stamp
from foveal.shards.naming import is_packed
from foveal.shards.remote._retry import LastingError, PassingError
from foveal.shards.remote._waits import Heard

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


class Asked(NamedTuple):
    """A request for ``size`` bytes of a file from byte ``start``, fewer at its end; of the state that ``tag`` names, None for any."""

    url: str
    start: int
    size: int
    tag: str | None = None


class Answer(NamedTuple):
    """The requested bytes (None if the server would only send the whole file), and the state of the file that they are from."""

    body: bytes | None
    stamp: Stamp


class Extent(NamedTuple):
    """Which bytes an answer holds: ``size`` bytes from byte ``start`` of ``total``."""

    start: int
    size: int
    total: int


def headers_of(asked: Asked) -> dict[str, str]:
    """Return the headers of a request."""
    last = asked.start + asked.size - 1
    headers = {"Range": f"bytes={asked.start}-{last}", "Accept-Encoding": "identity"}
    if asked.tag is not None and is_strong(asked.tag):
        headers["If-Match"] = asked.tag
    return headers


def is_strong(tag: str) -> bool:
    """Return whether the tag may be used in If-Match: it must be an ETag, and not a weak one, which never matches."""
    return tag.startswith('"')


def check_encoding(url: str, encoding: str) -> None:
    """Check that an answer's bytes are those of the file. Only a compressed shard may be called compressed: it is so itself.

    Raises:
        LastingError: The server has compressed them.
    """
    if encoding.lower() not in ("", "identity") and not is_packed(url):
        raise LastingError(
            f"cannot be read: its server sends it compressed, with Content-Encoding {encoding!r}, though it was asked not to: "
            "have it send such files as they are"
        )


def tell_extent(status: int, content_range: str | None, length: int | None) -> Extent:
    """Return the extent of an answer, from its headers.

    Raises:
        LastingError: The headers do not say it.
    """
    match = _CONTENT_RANGE.match(content_range or "")
    if status == 206 and match is not None:
        first, last, total = map(int, match.groups())
        return Extent(first, last + 1 - first, total)
    if status == 200 and length is not None:
        return Extent(0, length, length)
    raise LastingError(f"cannot be read: its server does not say how large it is, with HTTP {status}")


def tell_stamp(headers: Mapping[str, str], extent: Extent) -> Stamp:
    """Return the state of the file that an answer is from."""
    tags = (headers.get("ETag", ""), headers.get("Last-Modified", ""))
    tag = next((tag for tag in tags if 0 < len(tag) <= LONGEST_TAG), "")
    return Stamp(extent.total, None, tag)


def is_wanted(extent: Extent, asked: Asked) -> bool:
    """Return whether the answer's body is to be read: False if a part was requested and the whole is being sent.

    Raises:
        PassingError: Another part is being sent.
    """
    wanted = Extent(asked.start, min(asked.size, extent.total - asked.start), extent.total)
    if extent == wanted:
        return True
    if extent.size == extent.total:
        return False
    raise PassingError(
        f"bytes {wanted.start} to {wanted.start + wanted.size} asked for, {extent.start} to {extent.start + extent.size} sent"
    )


async def whole_body(parts: AsyncIterable[bytes], extent: Extent, heard: Heard) -> bytes:
    """Return the body, which must be as long as its headers say; ``heard`` is called for each part of it.

    Raises:
        PassingError: It is not.
    """
    arrived = []
    async for part in parts:
        heard()
        arrived.append(part)
    body = b"".join(arrived)
    if len(body) != extent.size:
        raise PassingError(f"a body of {len(body)} instead of {extent.size} bytes")
    return body
