"""Arguments and options that several verbs of the command line share."""

from pathlib import Path
from typing import Annotated

import typer

from foveal._choices import BoxFormat, Color, Frame, PointFormat
from foveal.tools.console.choices import MAX_PIXELS, Amp


def _in_a_folder(path: Path | None) -> Path | None:
    """Return the path of a file that is written at the end, when it would be a pity if it could not be.

    Raises:
        BadParameter: It is in no folder that exists.
    """
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"must be a file in a folder that exists, got {str(path)!r}.")
    return path


def _of_members(image: str) -> str:
    """Return extensions of members, which the loader's own fields are not.

    Raises:
        BadParameter: One is ``image``, which stands for the default, such a field, or empty.
    """
    for each in image.split(";"):
        if each in ("", "image") or each.startswith("__"):
            raise typer.BadParameter(
                f"must be extensions of members, such as tif or left.jpg, got {image!r}."
            )
    return image


# The titles under which the help of the longer verbs groups options.
ZOOM = "The zoom"
LABELS = "Boxes, points and masks"
PIXELS = "How images are read"

URLS = (
    "Shards: paths, URLs (s3://, gs://, https://) or quoted patterns, e.g. 'train-{000000..000146}.tar' or "
    "'s3://bucket/*.tar'; several may be given."
)
URLS_OR_IMAGES = (
    URLS + " Or a local folder of images: it is packed into shards in the cache once, as foveal pack does it."
)
UrlsOrImages = Annotated[list[str], typer.Argument(metavar="SHARDS", help=URLS_OR_IMAGES, show_default=False)]
MaybeUrls = Annotated[
    list[str] | None,
    typer.Argument(metavar="SHARDS", help=URLS, show_default="images that are drawn for this run"),
]
OutSize = Annotated[
    int,
    typer.Option(
        min=8,
        help="Height and width of the images that come out, in pixels. They are square, whatever the aspect ratio of the "
        "original.",
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Number of images in a batch.")]
NumThreads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of threads that decode images.",
        show_default="one for each available processor",
        rich_help_panel=PIXELS,
    ),
]
StorageOptions = Annotated[
    str,
    typer.Option(
        metavar="<json>",
        help="Keyword arguments for fsspec's file system, which reads and writes what is not local, as a JSON object, e.g. "
        """'{"endpoint_url": "https://store.example.com"}'.""",
        show_default="none; credentials are found as usual for S3 and GCS",
    ),
]
CacheSize = Annotated[
    str | None,
    typer.Option(
        metavar="<size>",
        help="Room on this machine for copies of remote shards, e.g. 200GB. From the second epoch on, what has been copied is read "
        "from there.",
        show_default="no copies",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="<local|auto|address>",
        help="Distribute the shards over a Ray cluster: local (a cluster of processes on this machine), auto (the cluster that "
        "ray.init finds), or the address of a cluster. Needs pip install 'foveal\\[ray]'.",
        show_default="no cluster: this process works alone",
    ),
]
Repeats = Annotated[
    int,
    typer.Option(
        min=1,
        help="Number of rounds that count; each round measures every row of the table once. More rounds help on a busy machine.",
    ),
]
Quarantine = Annotated[
    Path | None,
    typer.Option(
        dir_okay=False,
        help="File in which foveal verify listed bad samples. They are left out without being read again, and samples that turn "
        "out bad are added.",
        show_default="no file: each bad sample is found anew",
    ),
]
Rows = Annotated[
    int,
    typer.Option(min=1, help="Number of samples to show, one in each row, spread evenly over all shards."),
]
Json = Annotated[
    Path | None,
    typer.Option(
        "--json",
        dir_okay=False,
        writable=True,
        callback=_in_a_folder,
        help="File to which the results are also written, as JSON.",
        show_default="the results are only printed",
    ),
]
AmpOption = Annotated[
    Amp,
    typer.Option(
        help="Number format in which the classifier computes: bf16 is bfloat16, fp16 is float16, off is float32. Saliency and zoom "
        "always compute in float32."
    ),
]
SaliencyOption = Annotated[
    str,
    typer.Option(
        metavar="<spectral|boxes|uniform|file>",
        help="What decides where to zoom. spectral: parts that differ from the rest of the image (by its frequency spectrum; "
        "nothing is trained). boxes: the boxes of --boxes. uniform: nothing, the output is a uniform resize. Or a file: the "
        "saliency.pt of foveal train, or other weights of a saliency network.",
        rich_help_panel=ZOOM,
    ),
]
SaliencyMember = Annotated[
    str | None,
    typer.Option(
        metavar="<member>",
        help="Zoom by a saliency map that each sample has, in this member: attention.npy, heat.png, gaze.json, or an entry of a "
        "json member, e.g. json:gaze.map. The map has rows of non-negative numbers, and any size. Use it instead of --saliency.",
        show_default="no such map",
        rich_help_panel=ZOOM,
    ),
]
BoxFormatOption = Annotated[
    BoxFormat | None,
    typer.Option(
        help="What a box's four numbers are. xyxy: two corners. xywh: the upper left corner, width and height, as in COCO. "
        "cxcywh: the centre, width and height, as in YOLO.",
        show_default="cxcywh in a txt member, else xyxy",
        rich_help_panel=LABELS,
    ),
]
BoxFrameOption = Annotated[
    Frame | None,
    typer.Option(
        help="Unit of a box's numbers: pixels of the original, turned upright by its EXIF orientation, or fractions of its width "
        "and height.",
        show_default="fraction in a txt member, else pixel",
        rich_help_panel=LABELS,
    ),
]
PointFormatOption = Annotated[
    PointFormat | None,
    typer.Option(
        help="What the numbers of a point are, in JSON. xy: x and y. xyv: x, y and visibility, as in COCO's keypoints. A flat list "
        "of 6, 12, 18 ... numbers could be either, e.g. a polygon of three corners; a sample with such a list is bad unless this "
        "option says which.",
        show_default="found from how many numbers there are",
        rich_help_panel=LABELS,
    ),
]
PointFrameOption = Annotated[
    Frame,
    typer.Option(
        help="Unit of a point's numbers: pixels of the original, turned upright by its EXIF orientation, or fractions of its "
        "width and height.",
        rich_help_panel=LABELS,
    ),
]
ImageOption = Annotated[
    str,
    typer.Option(
        metavar="<member>",
        callback=_of_members,
        help="Member that holds the image of a sample, named by its extension, e.g. tif, or left.jpg for 0001.left.jpg. "
        "Alternatives are separated by semicolons; the first one that a sample has is used.",
        rich_help_panel=PIXELS,
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        metavar="<low:high|auto>",
        help="Stored pixel values that become black and white, e.g. -1000:400 for CT. auto: percentiles 1 and 99 of each image. "
        "Images of signed integers need it.",
        show_default="0 and the largest value of the image's bit depth; for DICOM, the window in the file",
        rich_help_panel=PIXELS,
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(
        metavar="<red,green,blue>",
        help="Numbers of the three bands of an image that become red, green and blue, counted from 0, e.g. 3,2,1.",
        show_default="the first three; the first, as grey, of an image with fewer",
        rich_help_panel=PIXELS,
    ),
]
ColorOption = Annotated[
    Color | None,
    typer.Option(
        help="Convert colours to sRGB, by the ICC profile in each image; images without a profile stay as they are.",
        show_default="no conversion",
        rich_help_panel=PIXELS,
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Largest image, as width times height in pixels. A larger one makes a bad sample.",
        show_default=f"{MAX_PIXELS:,}, the limit at which Pillow refuses an image",
        rich_help_panel=PIXELS,
    ),
]
