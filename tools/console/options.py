"""Arguments and options that several verbs of the command line share."""

from pathlib import Path
from typing import Annotated

import typer

from foveal._choices import BoxFormat, Color, Frame, PointFormat
from foveal.tools.console.choices import MAX_PIXELS, Amp

_URLS = "Shards: paths, URLs or patterns, e.g. 'train-{000000..000146}.tar' or 's3://bucket/*.tar'."
_ONE_PER_PROCESSOR = "one for each available processor"

Urls = Annotated[list[str], typer.Argument(metavar="SHARDS", help=_URLS, show_default=False)]
UrlsOrImages = Annotated[
    list[str],
    typer.Argument(metavar="SHARDS", help=_URLS + " Or a folder of images.", show_default=False),
]
UrlsOrNone = Annotated[list[str] | None, typer.Argument(metavar="SHARDS", help=_URLS, show_default=False)]
MaybeUrls = Annotated[
    list[str] | None,
    typer.Argument(metavar="SHARDS", help=_URLS, show_default="generated scenes"),
]
OutSize = Annotated[int, typer.Option(min=8, help="Height and width of the images that come out, in pixels.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Number of images in a batch.")]
NumThreads = Annotated[
    int | None,
    typer.Option(min=1, help="Number of threads that decode images.", show_default=_ONE_PER_PROCESSOR),
]
StorageOptions = Annotated[
    str,
    typer.Option(
        help="Options for remote shards and folders, as a JSON object of arguments for fsspec's file system.",
        show_default="no options",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        help="Distribute the shards over a Ray cluster: local (this machine alone), auto (the cluster that ray.init finds), or "
        "the cluster's address.",
        show_default="no cluster",
    ),
]
Repeats = Annotated[int, typer.Option(min=1, help="Number of rounds; each round times every case once.")]
Rows = Annotated[
    int, typer.Option(min=1, help="Number of samples in the picture, spread evenly over all shards.")
]
Json = Annotated[
    Path | None,
    typer.Option(
        "--json",
        dir_okay=False,
        help="JSON file to write the results to, besides printing them.",
        show_default="no file",
    ),
]
AmpOption = Annotated[
    Amp, typer.Option(help="Number format in which the classifier computes; off is float32.")
]
SaliencyOption = Annotated[
    str,
    typer.Option(
        help="What decides where to zoom: spectral (whatever differs from the rest of the image; needs no training), boxes (those "
        "of --boxes), uniform (no zoom), or a file of trained weights."
    ),
]
BoxFormatOption = Annotated[
    BoxFormat | None,
    typer.Option(
        help="Meaning of a box's four numbers: xyxy is two corners, xywh a corner and the size, cxcywh the centre and the size.",
        show_default="xyxy; cxcywh in a txt member",
    ),
]
BoxFrameOption = Annotated[
    Frame | None,
    typer.Option(
        help="Unit of a box's numbers: pixels of the upright original, or fractions of its width and height.",
        show_default="pixel; fraction in a txt member",
    ),
]
PointFormatOption = Annotated[
    PointFormat | None,
    typer.Option(
        help="Numbers of a point in JSON: xy is x and y, xyv is x, y and visibility.",
        show_default="told by the count of numbers; give xy for polygons of 3, 6, 9 ... corners, which fit both",
    ),
]
PointFrameOption = Annotated[
    Frame,
    typer.Option(
        help="Unit of a point's numbers: pixels of the upright original, or fractions of its width and height."
    ),
]
ImageOption = Annotated[
    str,
    typer.Option(
        help="Extension of each sample's image file, e.g. tif or left.jpg; separate alternatives by semicolons."
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        help="Stored pixel values that become black and white, e.g. -1000:400; auto takes percentiles 1 and 99 of each image.",
        show_default="0 and the value that the image's header calls white",
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(
        help="Bands that become red, green and blue, counted from 0, e.g. 3,2,1.",
        show_default="the first three",
    ),
]
ColorOption = Annotated[
    Color | None,
    typer.Option(
        help="Convert colours to this colour space, by the ICC profile in each image.",
        show_default="no conversion",
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Treat an image with more pixels than this as bad.",
        show_default=f"{MAX_PIXELS:,}",
    ),
]
