"""The verbs of ``foveal``, their options, and how they end.

Nothing heavy is imported before a verb runs: ``foveal --help`` answers at once. Exit codes: 0 good, 1 failed (one
line on standard error says why), 2 bad usage, 130 interrupted.
"""

# ruff: noqa: PLC0415 - each verb imports what it needs when it runs

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from foveal import __version__
from foveal.tools._cli_bench import bench
from foveal.tools._cli_options import URLS, Amp, BatchSize, Size, StorageOptions, Urls

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench, name="bench")

Grid = Literal["kernel", "separable", "cdf"]
SaliencyOption = Annotated[str, typer.Option(help="spectral, uniform, boxes, or a file of trained weights.")]
GridOption = Annotated[
    Grid | None,
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
ImageFormat = Literal["jpg", "webp", "png", "npy"]
TrainZoom = Literal["saliency", "uniform"]
DemoZoom = Literal["saliency", "patches", "mixed"]
BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
DecodeMode = Literal["full", "auto"]

# Packages that not every verb needs, and the extra that brings them.
_EXTRAS = {"matplotlib": "plots", "ray": "ray"}


def _print_version(*, wanted: bool) -> None:
    if wanted:
        print(f"foveal {__version__}")
        raise typer.Exit


@app.callback()
def foveal(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which this is.")
    ] = False,
) -> None:
    """Full-resolution images in, compact batches out, with more pixels where it matters."""


@app.command()
def demo(
    *,
    urls: Annotated[list[str] | None, typer.Option(help=URLS + " Default: generated scenes.")] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Where the picture goes.")] = Path("demo"),
    zoom: Annotated[DemoZoom, typer.Option(help="What brings the pixels back.")] = "saliency",
    size: Size = 224,
    batch_size: BatchSize = 8,
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes to generate without --urls.")] = 64,
) -> None:
    """Run the whole path on this machine, with a picture to look at."""
    from foveal.tools._demo import run_demo

    run_demo(urls or [], out=out, zoom=zoom, size=size, batch_size=batch_size, scenes=scenes)


@app.command()
def index(
    urls: Urls,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also where an index is there and fresh.")] = False,
) -> None:
    """Write an index beside each shard: what is where in the tar."""
    from foveal.tools._index import index_shards

    index_shards(urls, force=force)


@app.command()
def doctor(
    urls: Urls,
    *,
    images: Annotated[int, typer.Option(min=1, help="How many to look at, spread evenly over all.")] = 64,
    size: Size = 224,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; each times every case once.")] = 3,
    storage_options: StorageOptions = "{}",
) -> None:
    """Say what limits a loader here, and what to do about it."""
    from foveal.tools._doctor import examine
    from foveal.tools._storage_options import parse_storage_options

    options = parse_storage_options(storage_options)
    examine(urls, images=images, size=size, repeats=repeats, storage_options=options)


@app.command()
def verify(
    urls: Urls,
    *,
    quarantine: Annotated[
        Path,
        typer.Option(dir_okay=False, help="The file that bad samples are added to, for ZoomLoader to skip."),
    ] = Path("quarantine.jsonl"),
    fields: Annotated[str, typer.Option(help="What each sample must have, separated by commas.")] = "image",
    max_pixels: MaxPixels = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead, compare a folder that foveal zoom wrote with the shards it was made of.",
            show_default=False,
        ),
    ] = None,
    storage_options: StorageOptions = "{}",
) -> None:
    """Decode everything, and say what is bad; exit status 1 if anything is."""
    from foveal.tools._storage_options import parse_storage_options

    options = parse_storage_options(storage_options)
    if against:
        from foveal.tools._against import verify_against

        if len(urls) != 1:
            raise ValueError(f"urls must be one folder that foveal zoom wrote, got {urls!r}.")
        raise typer.Exit(int(verify_against(urls[0], against, storage_options=options)))
    from foveal.tools._verify import verify_shards

    if verify_shards(
        urls,
        quarantine=quarantine,
        fields=fields.split(","),
        max_pixels=max_pixels,
        storage_options=options,
    ):
        raise typer.Exit(1)


@app.command()
def view(
    urls: Urls,
    *,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The picture, a PNG.")] = Path("sheet.png"),
    saliency: SaliencyOption = "spectral",
    grid: GridOption = None,
    temperature: Temperature = None,
    max_zoom: MaxZoom = None,
    min_zoom: MinZoom = None,
    boxes: Annotated[str | None, typer.Option(help="Draw these boxes, such as json:boxes.")] = None,
    box_format: Annotated[BoxFormat, typer.Option(help="What four numbers of a box are.")] = "xyxy",
    size: Size = 224,
    rows: Annotated[int, typer.Option(min=1, help="How many samples, spread evenly over all.")] = 5,
) -> None:
    """Draw some images as a zoom shows them: original with the grid, saliency, uniform, zoomed."""
    from foveal.pipeline import Boxes
    from foveal.tools._choose_zoom import choose_zoom
    from foveal.tools._view import view_shards

    chosen = choose_zoom(
        size,
        saliency,
        boxes_from=boxes,
        family=grid,
        temperature=temperature,
        max_zoom=max_zoom,
        min_zoom=min_zoom,
    )
    field = Boxes(boxes, format=box_format) if boxes else None
    view_shards(urls, chosen, out=out, rows=rows, boxes=field)


@app.command()
def zoom(
    urls: Urls,
    *,
    out: Annotated[
        str, typer.Option(help="The folder to write to, local or s3:// or gs://.", show_default=False)
    ],
    format: Annotated[ImageFormat, typer.Option(help="What zoomed images are written as.")] = "jpg",  # noqa: A002
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of jpg and webp.")] = 90,
    size: Size = 224,
    patches: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="As many patches of each image instead, SIZE pixels high and wide.",
            show_default=False,
        ),
    ] = None,
    saliency: SaliencyOption = "spectral",
    grid: GridOption = None,
    temperature: Temperature = None,
    max_zoom: MaxZoom = None,
    min_zoom: MinZoom = None,
    image: Annotated[str, typer.Option(help="The member to zoom.")] = "jpg;jpeg;png;webp",
    boxes: Annotated[
        list[str] | None,
        typer.Option(help="Boxes that follow the zoom, such as json:boxes; may be repeated."),
    ] = None,
    box_format: Annotated[
        BoxFormat, typer.Option(help="What four numbers of a box are, in and out.")
    ] = "xyxy",
    points: Annotated[list[str] | None, typer.Option(help="Points that do, such as json:points.")] = None,
    mask: Annotated[
        list[str] | None, typer.Option(help="Masks of class ids that do, such as mask.png.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1.  [default: a CUDA device if there is one]")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads that decode, and that encode.  [default: all processors; 1 with --ray]"
        ),
    ] = None,
    max_pixels: MaxPixels = None,
    decode: Annotated[
        DecodeMode,
        typer.Option(help="auto: JPEGs on the CPU by libjpeg-turbo, no larger than --max-zoom can show."),
    ] = "full",
    max_failure_rate: Annotated[float, typer.Option(help="Stop when more than this share failed.")] = 0.1,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also zoom shards again of which samples failed.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Zoom all again, whatever the folder's shards were made with.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(help="Spread over a Ray cluster: local, auto, or its address.", show_default=False),
    ] = None,
    rank: Annotated[int, typer.Option(min=0, help="Zoom each WORLD_SIZE-th shard, from this one.")] = 0,
    world_size: Annotated[int, typer.Option(min=1, help="How many processes share the work.")] = 1,
    storage_options: StorageOptions = "{}",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a shard, for logs.")] = False,
) -> None:
    """Write zoomed shards: the same names, keys and order, in a fraction of the bytes. Run again, it goes on."""
    from foveal.tools._recipe import Recipe
    from foveal.tools._storage_options import parse_storage_options
    from foveal.tools._zoom import RunOptions, zoom_shards

    recipe = Recipe(
        size=size,
        patches=patches,
        format=format,
        quality=quality,
        saliency=saliency,
        grid=grid,
        temperature=temperature,
        max_zoom=max_zoom,
        min_zoom=min_zoom,
        image=image,
        boxes=tuple(boxes or ()),
        box_format=box_format,
        points=tuple(points or ()),
        masks=tuple(mask or ()),
        decode=decode,
        **({} if max_pixels is None else {"max_pixels": max_pixels}),
    )
    options = RunOptions(
        device=device,
        threads=workers,
        max_failure_rate=max_failure_rate,
        retry_failed=retry_failed,
        overwrite=overwrite,
        rank=rank,
        world_size=world_size,
        storage_options=parse_storage_options(storage_options),
        lines=sys.stdout if json else None,
    )
    if ray is None:
        zoom_shards(urls, recipe, out=out, options=options)
        return
    from foveal.tools._zoom_ray import RayCluster

    with RayCluster(ray) as cluster:
        here = replace(options, engine=cluster.zoom, device=device or cluster.device)
        zoom_shards(urls, recipe, out=out, options=here)


@app.command()
def train(
    urls: Urls,
    *,
    out: Annotated[Path, typer.Option(file_okay=False, help="The folder of the run.", show_default=False)],
    val: Annotated[
        list[str] | None,
        typer.Option(help="Shards to validate on after each epoch; may be repeated.", show_default=False),
    ] = None,
    zoom: Annotated[TrainZoom, typer.Option(help="uniform trains the same without a zoom.")] = "saliency",
    size: Size = 224,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the shards.")] = 10,
    batch_size: BatchSize = 64,
    lr: Annotated[float, typer.Option(help="Peak learning rate of the classifier.")] = 3e-3,
    saliency_lr: Annotated[float, typer.Option(help="Of the saliency network, in multiples of LR.")] = 0.3,
    warmup: Annotated[float, typer.Option(help="Share of all steps in which they rise.")] = 0.3,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = 0.01,
    entropy: Annotated[float, typer.Option(help="How strongly an even saliency is rewarded.")] = 0.0,
    blur: Annotated[
        float,
        typer.Option(
            help="Share of all steps in which zoomed images are blurred, each time by another amount."
        ),
    ] = 0.0,
    contrast: Annotated[
        float, typer.Option(help="How strongly untrained saliency prefers what stands out.")
    ] = 0.03,
    grid: Annotated[Grid, typer.Option(help="How points are drawn to what matters.")] = "kernel",
    fwhm_cells: Annotated[float, typer.Option(help="How far saliency reaches, of 31 cells.")] = 8.0,
    temperature: Annotated[float, typer.Option(help="Below 1 zooms harder.")] = 1 / 8,
    max_zoom: Annotated[float, typer.Option(help="No step finer than this.")] = 5.0,
    hflip: Annotated[float, typer.Option(help="Probability of mirroring left and right.")] = 0.0,
    vflip: Annotated[float, typer.Option(help="Probability of mirroring upside down.")] = 0.0,
    crop_scale: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Random crops of this share of the area, from least to most.  [default: none]"),
    ] = None,
    rotate_deg: Annotated[float, typer.Option(help="Degrees of random turns, either way.")] = 0.0,
    amp: Annotated[Amp, typer.Option(help="What the classifier computes in.")] = "off",
    classes: Annotated[
        int | None, typer.Option(min=1, help="How many classes.  [default: the labels are counted]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and all that is drawn.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode.  [default: all processors]")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run in OUT was, or begin where there is none.")
    ] = False,
) -> None:
    """Train a classifier, and the saliency network with it, through the loader. Also under torchrun."""
    from foveal.pipeline import Augment
    from foveal.tools._train import train as train_zoom
    from foveal.tools._train_options import TrainOptions

    augment = Augment(hflip=hflip, vflip=vflip, crop_scale=crop_scale, rotate_deg=rotate_deg)
    options = TrainOptions(
        size=size,
        zoom=zoom,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        saliency_lr=saliency_lr,
        warmup=warmup,
        weight_decay=weight_decay,
        entropy=entropy,
        blur=blur,
        contrast=contrast,
        grid=grid,
        fwhm_cells=fwhm_cells,
        temperature=temperature,
        max_zoom=max_zoom,
        augment=None if augment == Augment() else augment,
        amp=amp,
        classes=classes,
        seed=seed,
        num_threads=workers,
    )
    train_zoom(urls, out, val=val or (), options=options, resume=resume)


def main() -> None:
    """Run ``foveal``: the entry point of the command line."""
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
    # By name: neither door is opened for an error that is none of theirs.
    return {"ShardError", "TooManyBadSamplesError", "TooManyFailuresError"} & {
        kind.__name__ for kind in type(error).__mro__
    } != set()


def _one_line(message: Warning | str, *_where: object, **_what: object) -> str:
    return f"foveal: {message}\n"


def _fail(reason: object) -> None:
    print(f"foveal: {' '.join(str(reason).split())}", file=sys.stderr)
    sys.exit(1)
