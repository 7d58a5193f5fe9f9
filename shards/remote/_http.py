"""Ranges of bytes over HTTP, through the session of fsspec's file system, as for Google Cloud Storage."""

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from email.utils import mktime_tz, parsedate_tz
from typing import Any

import aiohttp

from foveal.shards.remote._answer import (
    Answer,
    Asked,
    check_encoding,
    headers_of,
    is_wanted,
    tell_extent,
    tell_stamp,
    whole_body,
)
from foveal.shards.remote._proxy import proxy_of, shown
from foveal.shards.remote._retry import LastingError, PassingError, failure
from foveal.shards.remote._waits import Heard

NO_LIMIT = aiohttp.ClientTimeout(total=None)  # the caller sets one, which begins anew with each byte

# A .tar.gz must arrive as it is, not decompressed.
OPTIONS: dict[str, Any] = {"client_kwargs": {"auto_decompress": False}}


async def ask(fs: Any, asked: Asked, heard: Heard) -> Answer:
    """Ask for bytes of an object, and call ``heard`` whenever something arrives.

    Raises:
        PassingError: The failure may be temporary.
        LastingError: It is not temporary.
    """
    proxy = fs.kwargs.get("proxy") or proxy_of(asked.url)
    session = await fs.set_session()
    session._retry_connection = False  # noqa: SLF001 - each attempt is one request: whether to ask again is not its business
    options = {"timeout": NO_LIMIT, **fs.kwargs, "proxy": proxy}
    headers = {**options.pop("headers", {}), **headers_of(asked)}
    request = session.get(fs.encode_url(asked.url), headers=headers, **options)
    return await receive(request, asked, proxy, heard)


async def receive(
    request: AbstractAsyncContextManager[aiohttp.ClientResponse],
    asked: Asked,
    proxy: str | None,
    heard: Heard,
) -> Answer:
    """Send a request, through a proxy if there is one, and return the answer."""
    through = "" if proxy is None else f" through the proxy {shown(proxy)}"
    try:
        async with request as response:
            heard()
            return await _receive(response, asked, through, heard)
    except (aiohttp.InvalidURL, aiohttp.ClientSSLError, aiohttp.TooManyRedirects) as error:
        raise LastingError(f"cannot be read: {_name(error)}{through}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise PassingError(f"{_name(error)}{through}") from error


async def _receive(response: aiohttp.ClientResponse, asked: Asked, through: str, heard: Heard) -> Answer:
    if response.status >= 400:
        said = f"HTTP {response.status} {response.reason}".rstrip() + through
        raise failure(response.status, said, _seconds(response.headers))
    check_encoding(asked.url, response.headers.get("Content-Encoding", ""))
    extent = tell_extent(response.status, response.headers.get("Content-Range"), response.content_length)
    stamp = tell_stamp(response.headers, extent)
    if not is_wanted(extent, asked):
        return Answer(None, stamp)
    return Answer(await whole_body(response.content.iter_any(), extent, heard), stamp)


def _seconds(headers: Mapping[str, str]) -> float:
    """Return how long to wait by ``Retry-After``: seconds, or until a time, as the server's own clock has it; 0 if it says nothing."""
    retry_after = headers.get("Retry-After", "")
    if retry_after.isdecimal():
        return float(retry_after)
    until, now = (_time(headers.get(name, "")) for name in ("Retry-After", "Date"))
    return 0 if until is None else max(0.0, until - (time.time() if now is None else now))


def _time(date: str) -> float | None:
    """Return an HTTP date in seconds since 1970; None if it is none."""
    parts = parsedate_tz(date)
    try:
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError):
        return None


def _name(error: Exception) -> str:
    """Return the kind of the error and the system's message. The error's own message may contain a signed URL."""
    words = getattr(error, "strerror", None)
    return type(error).__name__ if words is None else f"{type(error).__name__}: {words}"
