"""``foveal explore``: its options."""

# ruff: noqa: PLC0415 - imported when it runs: `foveal --help` answers at once

from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.options import BoxFormatOption, BoxFrameOption, Urls


def explore(
    urls: Urls,
    *,
    saliency: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="A trained zoom to offer as a saliency source, such as run/saliency.pt of foveal train.",
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(help="Where each sample's boxes are, e.g. json:boxes: drawn, and offered as saliency."),
    ] = None,
    box_format: BoxFormatOption = None,
    box_frame: BoxFrameOption = None,
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen on. Any other than the default lets other machines see the images."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8780,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Show samples in the browser and turn the settings of the zoom."""
    from rich.console import Console

    from foveal.tools.explore._settings import Source
    from foveal.tools.explore.serve import serve
    from foveal.tools.packing.packed import packed

    console = Console(soft_wrap=True, highlight=False, markup=False)
    shards = packed(urls, console=console)
    console.print(f"The page: http://{host}:{port}  (Ctrl-C ends it)")
    source = Source(tuple(shards), boxes, box_format, box_frame, saliency)
    serve(source, host=host, port=port, open_browser=open_browser)
