"""``foveal explore``: its options."""

# ruff: noqa: PLC0415 - imported when the verb runs, so that `foveal --help` is printed at once

from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.options import BoxFormatOption, BoxFrameOption, UrlsOrImages


def explore(
    urls: UrlsOrImages,
    *,
    saliency: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="File of a trained zoom to offer as a saliency source, e.g. the saliency.pt of a run of foveal train.",
            show_default="no file",
        ),
    ] = None,
    saliency_member: Annotated[
        str | None,
        typer.Option(
            help="Member of each sample that holds a saliency map to offer as a source, e.g. attention.npy or gaze.json.",
            show_default="no map",
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            help="Boxes to draw and to offer as a saliency source, e.g. json:boxes: the entry `boxes` of each sample's json member.",
            show_default="no boxes",
        ),
    ] = None,
    box_format: BoxFormatOption = None,
    box_frame: BoxFrameOption = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address on which the page is served. With any but the default, other machines may see the images."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on which the page is served.")] = 8780,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Show samples in the browser, with sliders for the settings of the zoom."""
    from rich.console import Console

    from foveal.tools.explore._settings import Source
    from foveal.tools.explore.serve import serve
    from foveal.tools.packing.packed import packed

    console = Console(soft_wrap=True, highlight=False, markup=False)
    shards = packed(urls, console=console)
    console.print(f"The page: http://{host}:{port}  (Ctrl-C ends it)")
    source = Source(tuple(shards), boxes, box_format, box_frame, saliency, saliency_member)
    serve(source, host=host, port=port, open_browser=open_browser)
