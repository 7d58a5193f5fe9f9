"""The verbs of ``foveal``, their options and exit codes.

Nothing heavy is imported before a verb runs, so ``foveal --help`` is printed at once. Exit codes: 0 good, 1 failed (one
line on standard error says why), 2 bad usage, 130 interrupted.
"""

# ruff: noqa: PLC0415 - each verb imports what it needs when it runs

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from foveal import __version__
from foveal.tools.bench.cli import bench
from foveal.tools.console.choices import IMAGE, DemoZoomName
from foveal.tools.console.old_names import current_name
from foveal.tools.console.options import (
    Bands,
    BatchSize,
    BoxFormatOption,
    BoxFrameOption,
    ColorOption,
    ImageOption,
    MaxPixels,
    OutSize,
    RayOption,
    Repeats,
    Rows,
    SaliencyOption,
    StorageOptions,
    Urls,
    UrlsOrImages,
    UrlsOrNone,
    Window,
)
from foveal.tools.console.spread_choice import spread_choice
from foveal.tools.console.zoom_choice import ZoomChoice
from foveal.tools.explore.cli import explore
from foveal.tools.offline.cli import zoom
from foveal.tools.packing.cli import pack
from foveal.tools.training.cli import train

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"token_normalize_func": current_name},
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench, name="bench")

# Packages that only some verbs need, and the extra that installs each.
_EXTRAS = {"matplotlib": "plots", "ray": "ray", "nicegui": "explore", "tensorboard": "tensorboard"}


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
    """Load full-resolution images from WebDataset shards and give the parts that matter more of the pixels."""


@app.command()
def demo(
    *,
    urls: Annotated[
        list[str] | None,
        typer.Option(
            help="Shards to show: a path, URL or pattern, e.g. 'photos/*.tar'; may be repeated.",
            show_default="generated scenes",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder in which the demo saves its picture.")
    ] = Path("demo"),
    zoom: Annotated[
        DemoZoomName,
        typer.Option(
            help="How images are made small: saliency zooms the whole image, patches cuts out its most salient patches, mixed "
            "cuts it into coarse patches, and its most salient parts also into fine ones."
        ),
    ] = "saliency",
    out_size: OutSize = 224,
    batch_size: BatchSize = 8,
    scenes: Annotated[
        int, typer.Option(min=1, help="Number of scenes to generate if --urls is not given.")
    ] = 32,
    rows: Rows = 2,
) -> None:
    """Run the whole loader on this machine and save a picture of what its zoom does."""
    from foveal.tools.demo.demo import run_demo

    run_demo(
        urls or [], out=out, zoom=zoom, out_size=out_size, batch_size=batch_size, scenes=scenes, rows=rows
    )


@app.command()
def index(
    urls: Urls,
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Rebuild indexes that are already up to date; otherwise they are kept."),
    ] = False,
    ray: RayOption = None,
) -> None:
    """Write an index file beside each shard, so that loaders need not scan the shard when they open it."""
    from rich.console import Console

    from foveal.tools._index import index_shards
    from foveal.tools.console.distribute import distributed

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False)
    with distributed(ray) as distribute:
        index_shards(urls, force=force, distribute=distribute, console=console)


@app.command()
def doctor(
    urls: UrlsOrNone = None,
    *,
    images: Annotated[
        int, typer.Option(min=1, help="Number of images to measure, spread evenly over all shards.")
    ] = 64,
    out_size: OutSize = 224,
    repeats: Repeats = 3,
    compile_ahead: Annotated[
        bool,
        typer.Option(
            "--warm",
            help="Compile the kernels now and keep them on disk, so that no first batch waits for them; otherwise they are compiled "
            "when they are first needed. SHARDS may be left out.",
        ),
    ] = False,
    storage_options: StorageOptions = "{}",
) -> None:
    """Measure what limits the speed of the loader for these shards on this machine, and say what to do about it."""
    if compile_ahead:
        from foveal.tools.doctor.warm import warm

        warm()
    if not urls:
        if compile_ahead:
            return
        raise typer.BadParameter(
            "name the shards to examine, or compile ahead with --warm.", param_hint="SHARDS"
        )
    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.doctor.doctor import examine

    options = parse_storage_options(storage_options)
    examine(urls, images=images, out_size=out_size, repeats=repeats, storage_options=options)


@app.command()
def verify(
    urls: Urls,
    *,
    quarantine: Annotated[
        Path,
        typer.Option(
            dir_okay=False,
            help="File to which bad samples are added. A loader skips them if it gets the file: ZoomLoader(quarantine=...).",
        ),
    ] = Path("quarantine.jsonl"),
    fields: Annotated[
        str, typer.Option(help="Fields that each sample must have, separated by commas, e.g. image,cls.")
    ] = "image",
    image: ImageOption = IMAGE,
    max_pixels: MaxPixels = None,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Check that SHARDS, a folder that foveal zoom wrote, is complete: it must list every sample of the original "
            "shards, which this option names. Nothing is decoded. May be repeated.",
            show_default=False,
        ),
    ] = None,
    ray: RayOption = None,
    storage_options: StorageOptions = "{}",
) -> None:
    """Decode every image and list the bad samples. The exit status is 1 if any sample or shard is bad."""
    from foveal.tools.console.storage_options import parse_storage_options

    options = parse_storage_options(storage_options)
    if against:
        from foveal.tools.offline.against import verify_against

        if len(urls) != 1:
            raise ValueError(f"urls must be one folder that foveal zoom wrote, got {urls!r}.")
        raise typer.Exit(int(verify_against(urls[0], against, storage_options=options)))
    from rich.console import Console

    from foveal.tools._verify import verify_shards
    from foveal.tools.console.distribute import distributed
    from foveal.tools.console.pixel_options import parse_pixels

    console = Console(file=sys.stdout)
    with distributed(ray) as distribute:
        bad = verify_shards(
            urls,
            quarantine=quarantine,
            fields=[image if field == "image" else field for field in fields.split(",")],
            max_pixels=max_pixels,
            rule=parse_pixels(window, bands, color),
            storage_options=options,
            distribute=None if ray is None else distribute,
            console=console,
        )
    if bad:
        raise typer.Exit(1)


@app.command()
@spread_choice
def view(
    urls: UrlsOrImages,
    *,
    out: Annotated[Path, typer.Option(dir_okay=False, help="PNG file to write.")] = Path("sheet.png"),
    saliency: SaliencyOption = "spectral",
    choice: ZoomChoice,
    boxes: Annotated[
        str | None,
        typer.Option(
            help="Boxes to draw, e.g. json:boxes: the entry `boxes` of each sample's json member.",
            show_default="no boxes",
        ),
    ] = None,
    box_format: BoxFormatOption = None,
    box_frame: BoxFrameOption = None,
    image: ImageOption = IMAGE,
    out_size: OutSize = 224,
    rows: Rows = 5,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
) -> None:
    """Draw samples: the image with the sampling grid, its saliency, and the image resized evenly and zoomed."""
    from rich.console import Console

    from foveal.pipeline import Boxes
    from foveal.tools._view import view_shards
    from foveal.tools.console.choose_zoom import choose_zoom
    from foveal.tools.console.pixel_options import parse_pixels
    from foveal.tools.packing.packed import image_members, packed

    chosen = choose_zoom(out_size, saliency, choice, boxes_from=boxes)
    field = Boxes(boxes, format=box_format, frame=box_frame) if boxes else None
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    rule = parse_pixels(window, bands, color)
    shards = packed(urls, console=console)
    image = image_members(urls, image)
    view_shards(shards, chosen, out=out, rows=rows, boxes=field, image=image, rule=rule)


app.command()(explore)
app.command()(pack)
app.command()(zoom)
app.command()(train)


def main() -> None:
    """Run ``foveal``: the entry point of the command line."""
    # While torch's threads wait, they would keep processors busy that decoding needs. OpenMP reads this variable when
    # torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.formatwarning = _one_line
    try:
        app(prog_name="foveal")
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        extra = _EXTRAS[error.name]
        _fail(f"this needs {error.name}, which is not installed – run pip install 'foveal[{extra}]'")
    except (ValueError, OSError) as error:
        _fail(error)
    except Exception as error:
        if not _is_about_data(error):
            raise
        _fail(error)


def _is_about_data(error: Exception) -> bool:
    # Compared by name: importing the class would load NumPy for every verb.
    return any(kind.__name__ == "DataError" for kind in type(error).__mro__)


def _one_line(message: Warning | str, *_where: object, **_what: object) -> str:
    return f"foveal: {message}\n"


def _fail(reason: object) -> None:
    print(f"foveal: {' '.join(str(reason).split())}", file=sys.stderr)
    sys.exit(1)
