"""The verbs of ``foveal bench``. Nothing heavy is imported before one runs."""

# ruff: noqa: PLC0415 - each verb imports what it needs when it runs

from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.choices import AccuracyTaskName, Amp
from foveal.tools.console.options import BatchSize, Json, MaybeUrls, NumThreads, OutSize

bench = typer.Typer(help="Measure Foveal beside its ceilings and what it replaces.", no_args_is_help=True)

Repeats = Annotated[int, typer.Option(min=1, help="Rounds; each round times every case once.")]

Images = Annotated[int, typer.Option(min=1, help="Images of an epoch; where there are fewer, they repeat.")]


@bench.command()
def loader(
    urls: MaybeUrls = None,
    *,
    images: Images = 128,
    batch_size: BatchSize = 32,
    repeats: Repeats = 5,
    out_size: OutSize = 224,
    json: Json = None,
) -> None:
    """Time the loader beside reading, decoding, and a loader written by hand."""
    from foveal.tools.bench._loader import bench_loader

    bench_loader(
        urls or [], images=images, batch_size=batch_size, repeats=repeats, size=out_size, json_path=json
    )


@bench.command()
def peers(
    urls: MaybeUrls = None,
    *,
    images: Images = 128,
    batch_size: BatchSize = 32,
    repeats: Repeats = 5,
    out_size: OutSize = 224,
    json: Json = None,
) -> None:
    """Time what one would use instead, as far as it is installed, beside the loader."""
    from foveal.tools.bench.peers.peers import bench_peers

    bench_peers(
        urls or [], images=images, batch_size=batch_size, repeats=repeats, size=out_size, json_path=json
    )


@bench.command()
def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True, dir_okay=False, help="Of bench loader and bench peers.", show_default=False
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The chart, a PNG.")] = Path("chart.png"),
) -> None:
    """Draw a chart from the files that bench loader and bench peers wrote."""
    from foveal.tools.bench._report import draw_report

    draw_report(files, out)


@bench.command(name="zoom")
def bench_zoom_verb(
    urls: MaybeUrls = None, *, repeats: Repeats = 5, out_size: OutSize = 224, json: Json = None
) -> None:
    """Time rewriting shards, to each format, beside decoding alone."""
    from foveal.tools.bench._zoom import bench_zoom

    bench_zoom(urls or [], repeats=repeats, size=out_size, json_path=json)


@bench.command()
def sample(*, repeats: Repeats = 7, out_size: OutSize = 224, json: Json = None) -> None:
    """Time sampling a 12-megapixel image, forward and backward, beside float() and grid_sample; a GPU's kernel, where there is one."""
    import torch

    from foveal.tools.bench.kernels.sample import bench_sample

    bench_sample(repeats=repeats, size=out_size, json_path=json)
    if torch.cuda.is_available():
        from foveal.tools.bench.kernels.kernel import bench_kernel

        bench_kernel(repeats=repeats, size=out_size, json_path=json and json.with_stem(f"{json.stem}-kernel"))


@bench.command()
def faults(
    urls: MaybeUrls = None,
    *,
    images: Images = 400,
    percent: Annotated[float, typer.Option(min=0, max=100, help="How many of a hundred are bad.")] = 1.0,
    batch_size: BatchSize = 32,
    repeats: Repeats = 5,
    out_size: OutSize = 224,
    json: Json = None,
) -> None:
    """Time an epoch with bad images beside one without."""
    from foveal.tools.bench._faults import bench_faults

    bench_faults(
        urls or [],
        images=images,
        percent=percent,
        batch_size=batch_size,
        repeats=repeats,
        size=out_size,
        json_path=json,
    )


@bench.command()
def adaptive(
    *,
    repeats: Repeats = 5,
    depth: Annotated[int, typer.Option(help="Layers of the ResNet: 18, 34, 50, 101 or 152.")] = 50,
    image_size: Annotated[int, typer.Option(min=16, help="Height and width of the images, in pixels.")] = 448,
    batch_size: BatchSize = 1,
    json: Json = None,
) -> None:
    """Time the last stages of a ResNet with a part of their cells fine, beside all fine."""
    from foveal.tools.bench.kernels.adaptive import bench_adaptive

    bench_adaptive(repeats=repeats, depth=depth, size=image_size, batch_size=batch_size, json_path=json)


@bench.command()
def quality(urls: MaybeUrls = None, *, out_size: OutSize = 224, json: Json = None) -> None:
    """Measure how near zoomed images come to 256 points to a pixel: by one point, resized first, anti-aliased."""
    from foveal.tools.bench.kernels.quality import bench_quality

    bench_quality(urls or [], size=out_size, json_path=json)


@bench.command()
def topk(*, repeats: Repeats = 7, json: Json = None) -> None:
    """Time the choice of patches, forward and backward, beside one that writes its draws out."""
    from foveal.tools.bench.kernels.topk import bench_topk

    bench_topk(repeats=repeats, json_path=json)


@bench.command()
def grid(*, repeats: Repeats = 7, out_size: OutSize = 224, json: Json = None) -> None:
    """Time each family of grids beside the paper's code's convolution, checked to be the same."""
    from foveal.tools.bench.kernels.grid import bench_grid

    bench_grid(repeats=repeats, size=out_size, json_path=json)


@bench.command()
def memory(
    urls: MaybeUrls = None,
    *,
    images: Annotated[int, typer.Option(min=1, help="Images that each case loads.")] = 64,
    repeats: Repeats = 3,
    json: Json = None,
) -> None:
    """Measure the peak memory of large images in small and large batches, each case in a process of its own."""
    from foveal.tools.bench._memory import bench_memory

    bench_memory(urls or [], images=images, repeats=repeats, json_path=json)


@bench.command()
def scale(*, repeats: Repeats = 5, json: Json = None) -> None:
    """Time a megapixel in small and large images and batches, on one processor and on two."""
    from foveal.tools.bench._scale import bench_scale

    bench_scale(repeats=repeats, json_path=json)


@bench.command()
def accuracy(
    task: Annotated[AccuracyTaskName, typer.Argument(help="What is to be told.")] = "digits-colour",
    *,
    out: Annotated[Path, typer.Option(file_okay=False, help="Where scenes and runs are kept.")] = Path(
        "accuracy"
    ),
    data: Annotated[
        Path,
        typer.Option(
            envvar="FOVEAL_DATA", file_okay=False, help="The folder with digits/, coins/ and roads/."
        ),
    ] = Path("data"),
    out_size: Annotated[
        list[int] | None, typer.Option(min=8, help="As train; may be repeated.  [default: 48]")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help="uniform, kernel, separable, cdf, patches, oracle, full, or a recipe of docs/train.md; may be repeated.  [default: uniform, kernel, and oracle where there are boxes]"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each.")] = 3,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Measure also on shards that `foveal zoom` writes with each zoom."),
    ] = False,
    scenes: Annotated[int, typer.Option(min=4, help="With digits, to train on.")] = 8000,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over them.  [default: as many as the task needs]")
    ] = None,
    batch_size: BatchSize = 64,
    amp: Annotated[Amp, typer.Option(help="What the classifier computes in.")] = "off",
    num_threads: NumThreads = None,
    json: Json = None,
) -> None:
    """Train the same network on the same number of pixels, resized, zoomed or cut out; run again, it goes on."""
    from foveal.tools.bench.accuracy.accuracy import bench_accuracy
    from foveal.tools.training.options import TrainOptions

    bench_accuracy(
        task,
        out=out,
        data=data,
        sizes=out_size or [48],
        arms=arm or (),
        seeds=seeds,
        offline=offline,
        scenes=scenes,
        epochs=epochs,
        options=TrainOptions(batch_size=batch_size, amp=amp, num_threads=num_threads),
        json_path=json,
    )
