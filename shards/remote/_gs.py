"""Ranges of bytes from Google Cloud Storage: HTTP with gcsfs's session and credentials."""

from typing import Any

from foveal.shards.remote._answer import Answer, asked_for
from foveal.shards.remote._http import receive
from foveal.shards.remote._proxy import proxy_of
from foveal.shards.remote._retry import RefusedError

OPTIONS: dict[str, Any] = {}


async def ask(fs: Any, url: str, start: int, size: int, tag: str | None) -> Answer:
    """Ask as :func:`foveal.shards.remote._http.ask` does; only the answer's headers are compared with the expected state."""
    del tag
    await fs._set_session()  # noqa: SLF001 - gcsfs has no public way to a response's headers
    headers = fs._get_headers(asked_for(start, size, None))  # noqa: SLF001
    target = fs.url(url)
    proxy = proxy_of(target)
    request = fs.session.get(target, headers=headers, params=fs._get_params({}), proxy=proxy)  # noqa: SLF001
    return await receive(request, url, start, size, proxy)


async def find(fs: Any, pattern: str) -> list[str]:
    """Return the names that a pattern matches, with their bucket; gcsfs retries by itself."""
    try:
        return list(await fs._glob(pattern))  # noqa: SLF001 - the public one waits by itself
    except OSError as error:
        raise RefusedError(f"cannot be listed: {error}") from error
