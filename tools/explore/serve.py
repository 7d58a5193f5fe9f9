"""The server of the page, for this machine unless another address is asked for."""

import socket

from nicegui import app, ui
from rich.console import Console

from foveal.tools.explore._looker import Looker
from foveal.tools.explore._own_names import OwnNames, shown_host
from foveal.tools.explore._page import Page
from foveal.tools.explore._settings import Settings, Source


def serve(
    source: Source, *, saliency: str, host: str, port: int, open_browser: bool, console: Console
) -> None:
    """Serve the page until it is interrupted.

    What a visitor can read are the samples of the shards and nothing else: the page sends numbers and choices, never a path, and
    pictures are part of the page. Requests that name another host are refused, so that a page from elsewhere cannot read it.

    Args:
        source: What is looked at.
        saliency: The source of saliency that is chosen at first.
        host: The address to listen on.
        port: The port to listen on.
        open_browser: Whether to open the page.
        console: Where the page's address is printed.

    Raises:
        OSError: The address cannot be listened on.
        ValueError: The source of saliency is not among those that the command line gave.
    """
    if saliency not in source.saliencies:
        raise ValueError(
            f"saliency must be one of {', '.join(source.saliencies)}, or a file, got {saliency!r} – boxes needs --boxes, and map --saliency-member."
        )
    looker, settings = Looker(source), Settings(saliency=saliency, **source.settings_of(saliency))
    app.add_middleware(OwnNames, host=host)

    def page() -> None:
        Page(looker, settings)

    _check_free(host, port)
    ui.page("/")(page)
    console.print(f"The page: http://{shown_host(host)}:{port}  (Ctrl-C ends it)")
    ui.run(
        host=host,
        port=port,
        show=open_browser,
        reload=False,
        title="foveal explore",
        show_welcome_message=False,
    )


def _check_free(host: str, port: int) -> None:
    """Raise if the address is taken, before it is printed: the server would only say so afterwards."""
    try:
        [(family, *_), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.create_server((host, port), family=family):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(
            f"host and port must be free to listen on, got {host}:{port}: {why} – name others with --host and --port."
        ) from error
