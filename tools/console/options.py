"""Arguments and options that several verbs of the command line share."""

from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.choices import Family

URLS = "Shards: paths or patterns, such as 'train-{000000..000146}.tar' or 'photos/*.tar'."
Urls = Annotated[list[str], typer.Argument(help=URLS, show_default=False)]
MaybeUrls = Annotated[
    list[str] | None,
    typer.Argument(help=URLS + " Default: generated scenes.", show_default=False),
]
OutSize = Annotated[int, typer.Option(min=8, help="Height and width of the zoomed images, in pixels.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images in a batch.")]
NumThreads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads that decode images.  [default: one for each available processor]"),
]
StorageOptions = Annotated[
    str, typer.Option(help="For remote shards and folders: JSON that fsspec's file system takes.")
]
Json = Annotated[
    Path | None, typer.Option("--json", dir_okay=False, help="Also write the numbers to this file.")
]
SaliencyOption = Annotated[str, typer.Option(help="spectral, uniform, boxes, or a file of trained weights.")]
FamilyOption = Annotated[
    Family | None,
    typer.Option(help="How points are drawn to what matters.  [default: as it was trained, or kernel]"),
]
Temperature = Annotated[
    float | None, typer.Option(help="Below 1 zooms harder.  [default: as it was trained, or 0.5]")
]
MaxZoom = Annotated[float | None, typer.Option(help="No step finer than this.  [default: no bound]")]
MinZoom = Annotated[float | None, typer.Option(help="No step coarser than this.  [default: no bound]")]
MaxPixels = Annotated[
    int | None, typer.Option(min=1, help="The most pixels an image may have.  [default: as ZoomLoader]")
]
