"""Ranges of bytes from Google Cloud Storage: HTTP with gcsfs's session and credentials."""

from typing import Any

from foveal.shards.remote._answer import Answer, Asked, headers_of
from foveal.shards.remote._http import NO_LIMIT, receive
from foveal.shards.remote._proxy import proxy_of
from foveal.shards.remote._retry import RefusedError
from foveal.shards.remote._waits import Heard

OPTIONS: dict[str, Any] = {}


async def ask(fs: Any, asked: Asked, heard: Heard) -> Answer:
    """Ask as :func:`foveal.shards.remote._http.ask` does; only the answer's headers are compared with the expected state."""
    await fs._set_session()  # noqa: SLF001 - gcsfs has no public way to a response's headers
    headers = fs._get_headers(headers_of(asked._replace(tag=None)))  # noqa: SLF001
    target = fs.url(asked.url)
    proxy = proxy_of(target)
    params = fs._get_params({})  # noqa: SLF001
    request = fs.session.get(target, headers=headers, params=params, proxy=proxy, timeout=NO_LIMIT)
    return await receive(request, asked, proxy, heard)


async def find(fs: Any, pattern: str) -> list[str]:
    """Return the names that a pattern matches, with their bucket; gcsfs retries by itself."""
    try:
        return list(await fs._glob(pattern))  # noqa: SLF001 - the public one waits by itself
    except OSError as error:
        raise RefusedError(f"cannot be listed: {error}") from error
