"""The server of the page, for this machine unless another address is asked for."""

from nicegui import app, ui
from starlette.middleware.trustedhost import TrustedHostMiddleware

from foveal.tools.explore._looker import Looker
from foveal.tools.explore._page import Page
from foveal.tools.explore._settings import Settings, Source


def serve(source: Source, *, host: str, port: int, open_browser: bool) -> None:
    """Serve the page until it is interrupted.

    What a visitor can read are the samples of the shards and nothing else: the page sends numbers and choices, never a path, and
    pictures are part of the page. Requests that name another host are refused, so that a page from elsewhere cannot read it.

    Args:
        source: What is looked at.
        host: The address to listen on.
        port: The port to listen on.
        open_browser: Whether to open the page.
    """
    looker = Looker(source)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", host])

    def page() -> None:
        Page(looker, Settings(saliency=source.saliencies[0]))

    ui.page("/")(page)
    ui.run(
        host=host,
        port=port,
        show=open_browser,
        reload=False,
        title="foveal explore",
        show_welcome_message=False,
    )
