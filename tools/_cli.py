"""The verbs of ``foveal``, and their options.

Nothing heavy is imported before a verb runs, so ``foveal --help`` is printed at once.
"""

# ruff: noqa: PLC0415 - each verb imports what it needs when it runs

import sys
from pathlib import Path
from typing import Annotated

import typer

from foveal import __version__
from foveal.tools.bench.cli import bench
from foveal.tools.console.choices import IMAGE, DemoZoomName
from foveal.tools.console.old_names import current_name
from foveal.tools.console.options import (
    LABELS,
    Bands,
    BatchSize,
    BoxFormatOption,
    BoxFrameOption,
    ColorOption,
    ImageOption,
    MaxPixels,
    MaybeUrls,
    OutSize,
    RayOption,
    Rows,
    SaliencyMember,
    SaliencyOption,
    StorageOptions,
    UrlsOrImages,
    Window,
)
from foveal.tools.console.spread_choice import spread_choice
from foveal.tools.console.verb import Idle, VerbGroup, verb
from foveal.tools.console.zoom_choice import ZoomChoice
from foveal.tools.doctor.cli import doctor
from foveal.tools.explore.cli import explore
from foveal.tools.offline.cli import zoom
from foveal.tools.packing.cli import pack
from foveal.tools.training.cli import train

app = typer.Typer(
    cls=VerbGroup,
    no_args_is_help=True,
    context_settings={"token_normalize_func": current_name},
    add_completion=False,
    pretty_exceptions_enable=False,
)

_ABOUT_BOXES = Idle(("box_format", "box_frame"), without="boxes")
_ABOUT_REMOTE = Idle(("storage_options",), local=("urls",))
_ABOUT_SALIENCY = Idle(("saliency",), beside="saliency_member")
# Options of verify on how images are decoded, and where bad ones are listed: a comparison decodes nothing.
_NOT_COMPARED = Idle(
    ("quarantine", "members", "image", "max_pixels", "window", "bands", "color", "ray"), beside="against"
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        print(f"foveal {__version__}")
        raise typer.Exit


@app.callback()
def foveal(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Load full-resolution images from WebDataset shards, and give the parts that matter more of the pixels.

    In this order: demo shows the zoom on drawn images. pack makes shards of a
    folder of images, verify finds bad images. view and explore show a zoom
    that needs no training; train learns one together with a classifier. zoom
    writes zoomed copies of shards. doctor and bench measure the speed.

    shard     a tar file of samples, in the WebDataset format
    sample    an image and what belongs to it: the members that share a key
    member    a file in a shard, e.g. 0001.jpg: key 0001, extension jpg
    saliency  a map of how much each place in an image matters to the task
    """


@verb(app, "foveal demo --out demo", idle=(Idle(("scenes",), beside="urls"),))
def demo(
    urls: MaybeUrls = None,
    *,
    out: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Folder to write to: the picture is OUT/sheet.png, and drawn images become shards in OUT/shards.",
        ),
    ] = Path("demo"),
    zoom: Annotated[
        DemoZoomName,
        typer.Option(
            help="How images are made small. saliency: the whole image, zoomed. patches: four cut-outs at full resolution, where "
            "the saliency is highest. mixed: small tiles of the whole image as for a vision transformer, coarse everywhere and "
            "four times finer where the saliency is highest."
        ),
    ] = "saliency",
    out_size: OutSize = 224,
    batch_size: BatchSize = 8,
    scenes: Annotated[int, typer.Option(min=1, help="Number of images to draw if no SHARDS are given.")] = 32,
    rows: Rows = 2,
) -> None:
    """Run the loader on this machine: print its training loop and its speed, and save a picture of what its zoom does."""
    from foveal.tools.demo.demo import run_demo

    run_demo(
        urls or [], out=out, zoom=zoom, out_size=out_size, batch_size=batch_size, scenes=scenes, rows=rows
    )


verb(
    app,
    "foveal pack photos/train --out shards/train",
    idle=(Idle(("classes_from",), beside="no_classes"),),
)(pack)


@verb(app, "foveal index 'shards/train/*.tar'")
def index(
    urls: Annotated[
        list[str],
        typer.Argument(
            metavar="SHARDS",
            help="Local shards: paths or quoted patterns, e.g. 'train-{000000..000146}.tar'; several may be given.",
            show_default=False,
        ),
    ],
    *,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Write all indexes again. Without it, an index that is up to date is left as it is.",
        ),
    ] = False,
    ray: RayOption = None,
) -> None:
    """Write an index file beside each shard (train-000000.idx for train-000000.tar), so that a loader opens the shard at once.

    Without one, the first loader that opens a shard scans it, and keeps the
    index in the cache. foveal pack and foveal zoom write indexes themselves.
    """
    from rich.console import Console

    from foveal.tools._index import index_shards
    from foveal.tools.console.distribute import distributed

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False)
    with distributed(ray) as distribute:
        index_shards(urls, force=overwrite, distribute=distribute, console=console)


@verb(
    app,
    "foveal verify 'shards/train/*.tar' --members image,cls",
    idle=(_NOT_COMPARED, Idle(("storage_options",), local=("urls", "against"))),
)
def verify(
    urls: UrlsOrImages,
    *,
    quarantine: Annotated[
        Path,
        typer.Option(
            dir_okay=False,
            help="File to which the bad samples are added; it is created if there are any. foveal train --quarantine and "
            "ZoomLoader(quarantine=...) in Python then leave them out without trying them.",
        ),
    ] = Path("quarantine.jsonl"),
    members: Annotated[
        str,
        typer.Option(
            metavar="<member,member...>",
            help="Members that each sample must have, separated by commas, e.g. image,cls. image stands for the one that --image "
            "names; it, or the extension of an image, must be among them. A sample without one of them is bad.",
        ),
    ] = "image",
    image: ImageOption = IMAGE,
    max_pixels: MaxPixels = None,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<shards>",
            help="The original shards, or the folder of images, from which foveal zoom wrote a folder: SHARDS then is that folder. "
            "Instead of decoding, check that it accounts for each original sample, zoomed or listed as bad, and that no file "
            "has changed since. May be repeated.",
            show_default="decode SHARDS",
        ),
    ] = None,
    ray: RayOption = None,
    storage_options: StorageOptions = "{}",
) -> None:
    """Decode every image as a loader would, and list the bad samples: those that cannot be read, or lack a member.

    The exit status is 1 if any sample or shard is bad, else 0.
    """
    from rich.console import Console

    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.packing.packed import image_members, packed

    options = parse_storage_options(storage_options)
    packing = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if against:
        from foveal.tools.offline.against import verify_against

        if len(urls) != 1:
            raise ValueError(f"urls must be one folder that foveal zoom wrote, got {urls!r}.")
        originals = packed(against, console=packing)
        raise typer.Exit(int(verify_against(urls[0], originals, storage_options=options)))
    from foveal.tools._verify import parse_members, verify_shards
    from foveal.tools.console.distribute import distributed
    from foveal.tools.console.sample_options import parse_pixels

    image = image_members(urls, image)
    image, beside = parse_members(members, image)
    urls = packed(urls, console=packing)
    console = Console(file=sys.stdout)
    with distributed(ray) as distribute:
        bad = verify_shards(
            urls,
            quarantine=quarantine,
            fields=(image,),
            beside=beside,
            max_pixels=max_pixels,
            rule=parse_pixels(window, bands, color),
            storage_options=options,
            distribute=None if ray is None else distribute,
            console=console,
        )
    if bad:
        raise typer.Exit(1)


@verb(
    app,
    "foveal view photos/train --max-zoom 3 --out sheet.png",
    idle=(_ABOUT_BOXES, _ABOUT_REMOTE, _ABOUT_SALIENCY),
)
@spread_choice
def view(
    urls: UrlsOrImages,
    *,
    out: Annotated[Path, typer.Option(dir_okay=False, help="PNG file to write.")] = Path("sheet.png"),
    rows: Rows = 5,
    out_size: OutSize = 224,
    saliency: SaliencyOption = "spectral",
    saliency_member: SaliencyMember = None,
    choice: ZoomChoice,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="<member:entry>",
            help="Boxes to draw, and for --saliency boxes to zoom on, e.g. json:boxes: the entry `boxes` of each sample's json "
            "member. Also json:annotations[].bbox (COCO), xml (Pascal VOC) or txt (YOLO).",
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
    """Draw some samples on a sheet, each as four pictures: the original with the sampling grid, its saliency, a uniform resize, and the zoom."""
    from rich.console import Console

    from foveal.tools._view import view_shards
    from foveal.tools.console.choose_zoom import choose_zoom
    from foveal.tools.console.sample_options import box_field, parse_pixels
    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.packing.packed import image_members, packed

    chosen = choose_zoom(
        out_size,
        saliency if saliency_member is None else "map",
        choice,
        boxes_from=boxes,
        maps_from=saliency_member,
    )
    field = box_field(boxes, box_format, box_frame) if boxes else None
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    view_shards(
        packed(urls, console=console),
        chosen,
        out=out,
        rows=rows,
        boxes=field,
        image=image_members(urls, image),
        rule=parse_pixels(window, bands, color),
        storage_options=parse_storage_options(storage_options),
    )


verb(app, "foveal explore photos/train --no-open", idle=(_ABOUT_BOXES, _ABOUT_REMOTE))(explore)
verb(
    app,
    "foveal train 'shards/train/*.tar' --val 'shards/val/*.tar' --out runs/zoom --epochs 30",
    idle=(
        Idle(("box_format", "box_frame", "teach_epochs"), without="boxes"),
        Idle(("prior",), beside="boxes"),
        Idle(("trunk_weights",), without="trunk"),
        Idle(("zoom", "boxes", "prior", "contrast", "trunk", "saliency_member"), beside="saliency"),
        Idle(("storage_options", "cache_size"), local=("urls", "val")),
    ),
)(train)
verb(
    app,
    "foveal zoom 'shards/train/*.tar' --saliency runs/zoom/saliency.pt --out zoomed/train",
    idle=(
        Idle(("box_format", "box_frame", "box_label"), without="boxes"),
        Idle(("point_format", "point_frame"), without="points"),
        Idle(("retry_bad",), beside="overwrite"),
        Idle(("storage_options",), local=("urls", "out")),
        _ABOUT_SALIENCY,
    ),
)(zoom)
verb(
    app,
    "foveal doctor 'shards/train/*.tar'",
    idle=(
        Idle(
            ("images", "out_size", "repeats", "image", "window", "bands", "color", "storage_options"),
            without="urls",
        ),
        _ABOUT_REMOTE,
    ),
)(doctor)
app.add_typer(bench, name="bench")
