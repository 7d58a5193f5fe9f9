"""``foveal explore``: its options."""

# ruff: noqa: PLC0415 - imported when the verb runs, so that `foveal --help` is printed at once

from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.choices import IMAGE
from foveal.tools.console.options import (
    LABELS,
    ZOOM,
    Bands,
    BoxFormatOption,
    BoxFrameOption,
    ColorOption,
    ImageOption,
    StorageOptions,
    UrlsOrImages,
    Window,
)

SALIENCIES = ("spectral", "boxes", "map", "uniform")


def explore(
    urls: UrlsOrImages,
    *,
    host: Annotated[
        str,
        typer.Option(
            metavar="<address>",
            help="Address on which the page is served. 127.0.0.1 is for this machine alone; with any other, other machines can see "
            "the images.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on which the page is served.")] = 8780,
    open_browser: Annotated[
        bool,
        typer.Option(
            "--open/--no-open",
            help="Whether to open the page in a browser; its address is printed in any case.",
        ),
    ] = True,
    saliency: Annotated[
        str,
        typer.Option(
            metavar="<spectral|boxes|map|uniform|file>",
            help="What decides where to zoom at first; the page can change it. spectral: parts that differ from the rest of the image. "
            "boxes: the boxes of --boxes. map: the map of --saliency-member. uniform: nothing, the output is a uniform resize. Or a "
            "file: the saliency.pt of foveal train, whose settings the page then starts with.",
            rich_help_panel=ZOOM,
        ),
    ] = "spectral",
    saliency_member: Annotated[
        str | None,
        typer.Option(
            metavar="<member>",
            help="Member of each sample with a saliency map that the page offers as a source: attention.npy, heat.png, gaze.json, or "
            "an entry of a json member, e.g. json:gaze.map.",
            show_default="not offered",
            rich_help_panel=ZOOM,
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="<member:entry>",
            help="Boxes that the page draws, and offers as a source of saliency, e.g. json:boxes: the entry `boxes` of each sample's "
            "json member. Also json:annotations[].bbox (COCO), xml (Pascal VOC) or txt (YOLO).",
            show_default="no boxes",
            rich_help_panel=LABELS,
        ),
    ] = None,
    box_format: BoxFormatOption = None,
    box_frame: BoxFrameOption = None,
    image: ImageOption = IMAGE,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
    storage_options: StorageOptions = "{}",
) -> None:
    r"""Show samples on a page in the browser, with a slider for each setting of the zoom.

    Below the pictures, the page shows the Python code and the foveal zoom
    command that give the same images. Ctrl-C ends the program. It needs
    pip install 'foveal\[explore]'.
    """
    from rich.console import Console

    from foveal.tools.console.sample_options import parse_pixels
    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.explore._settings import Source
    from foveal.tools.explore.serve import serve
    from foveal.tools.packing.packed import image_members, packed

    console = Console(soft_wrap=True, highlight=False, markup=False)
    source = Source(
        tuple(packed(urls, console=console)),
        boxes,
        box_format,
        box_frame,
        None if saliency in SALIENCIES else Path(saliency),
        saliency_member,
        image=image_members(urls, image),
        rule=parse_pixels(window, bands, color),
        storage_options=parse_storage_options(storage_options),
    )
    serve(
        source,
        saliency=saliency if saliency in SALIENCIES else "checkpoint",
        host=host,
        port=port,
        open_browser=open_browser,
        console=console,
    )
