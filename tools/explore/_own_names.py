"""Under which names the page may be requested."""

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared only
_LOCAL = ("127.0.0.1", "localhost", "::1")


class OwnNames:
    """Refuses requests under another name than the server's own, so that a page from elsewhere cannot read this one by a name that leads here.

    A server that listens on all addresses of the machine does not know under which of them others reach it. It answers
    under any address, which is no name, and under the machine's names.

    Args:
        app: Answers all other requests.
        host: The address or name to listen on.
    """

    def __init__(self, app: Any, host: str) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it."""
        asked = scope["type"] in ("http", "websocket")
        if asked and not is_own(Headers(scope=scope).get("host", ""), self._host):
            refusal = PlainTextResponse("Invalid host header", status_code=400)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_own(header: str, host: str) -> bool:
    """Return whether a request's ``Host`` is a name of the server that listens on ``host``."""
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name in (*_LOCAL, host.lower()):
        return True
    return host in _ANY and (
        _is_address(name) or name in {socket.gethostname().lower(), socket.getfqdn().lower()}
    )


def shown_host(host: str) -> str:
    """Return the host for a URL by which the page can be reached, from other machines if they may."""
    name = socket.gethostname() if host in _ANY else host
    return f"[{name}]" if ":" in name else name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
