"""The verbs of ``foveal bench``. Nothing heavy is imported before one runs."""

# ruff: noqa: PLC0415 - each verb imports what it needs when it runs

from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.choices import AccuracyTaskName
from foveal.tools.console.options import AmpOption, BatchSize, Json, MaybeUrls, NumThreads, OutSize, Repeats

bench = typer.Typer(
    help="Measure the speed, memory and accuracy of Foveal and of its alternatives.",
    no_args_is_help=True,
)

Images = Annotated[
    int, typer.Option(min=1, help="Number of images in an epoch; if the shards hold fewer, they repeat.")
]


@bench.command()
def loader(
    urls: MaybeUrls = None,
    *,
    images: Images = 128,
    batch_size: BatchSize = 32,
    repeats: Repeats = 5,
    out_size: OutSize = 224,
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu",
            help="Time the loader on the GPU, and for comparison nvJPEG alone and the loader on the CPU; otherwise only the CPU is used.",
        ),
    ] = False,
    json: Json = None,
) -> None:
    """Time the loader, and for comparison reading alone, decoding alone, and a loader written by hand."""
    from foveal.tools.bench._loader import bench_loader

    if gpu:
        from foveal.tools.bench.gpu.table import bench_device

        bench_device(
            urls or [], images=images, batch_size=batch_size, repeats=repeats, size=out_size, json_path=json
        )
        return
    bench_loader(
        urls or [], images=images, batch_size=batch_size, repeats=repeats, size=out_size, json_path=json
    )


@bench.command(name="gpu")
def gpu_verb(
    urls: MaybeUrls = None,
    *,
    device: Annotated[
        str,
        typer.Option(
            help="CUDA device to use. cpu only tests that the command runs: its times mean nothing."
        ),
    ] = "cuda",
    seconds: Annotated[
        float, typer.Option(min=1, help="Time limit for all steps together, in seconds.")
    ] = 480.0,
    json: Json = None,
) -> None:
    """Test and time on a GPU what only a GPU can show: the GPU tests, the loader, training, kernels, memory.

    Run it in a clone of the repository. Each result is written to the JSON file at once. If a step fails, the others still
    run, and the exit status is 1.
    """
    from foveal.tools.bench.gpu.check import check_gpu

    found = check_gpu(urls or [], device=device, seconds=seconds, json_path=json)
    if any("error" in each for each in found.values()):
        raise typer.Exit(1)


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
    """Time this loader and all other loaders that are installed."""
    from foveal.tools.bench.peers.peers import bench_peers

    bench_peers(
        urls or [], images=images, batch_size=batch_size, repeats=repeats, size=out_size, json_path=json
    )


@bench.command()
def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="JSON files that `foveal bench loader --json` or `foveal bench peers --json` wrote.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(dir_okay=False, help="PNG file to write the chart to.")] = Path(
        "chart.png"
    ),
) -> None:
    """Draw a bar chart of the results of `foveal bench loader` and `foveal bench peers`."""
    from foveal.tools.bench._report import draw_report

    draw_report(files, out)


@bench.command(name="zoom")
def bench_zoom_verb(
    urls: MaybeUrls = None, *, repeats: Repeats = 5, out_size: OutSize = 224, json: Json = None
) -> None:
    """Time `foveal zoom` for each image format, and for comparison decoding alone."""
    from foveal.tools.bench._zoom import bench_zoom

    bench_zoom(urls or [], repeats=repeats, size=out_size, json_path=json)


@bench.command()
def sample(*, repeats: Repeats = 7, out_size: OutSize = 224, json: Json = None) -> None:
    """Time sampling of a 12-megapixel image, forward and backward, and for comparison torch's grid_sample.

    If there is a GPU, the GPU kernel is timed, too.
    """
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
    percent: Annotated[
        float, typer.Option(min=0, max=100, help="Percentage of the images that are bad.")
    ] = 1.0,
    batch_size: BatchSize = 32,
    repeats: Repeats = 5,
    out_size: OutSize = 224,
    json: Json = None,
) -> None:
    """Time an epoch with bad images, and for comparison an epoch without."""
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
    depth: Annotated[int, typer.Option(help="Number of layers of the ResNet: 18, 34, 50, 101 or 152.")] = 50,
    image_size: Annotated[
        int, typer.Option(min=16, help="Height and width of the images that go in, in pixels.")
    ] = 448,
    batch_size: BatchSize = 1,
    json: Json = None,
) -> None:
    """Time a ResNet whose last stages keep only some cells at fine resolution, and for comparison one that keeps all."""
    from foveal.tools.bench.kernels.adaptive import bench_adaptive

    bench_adaptive(repeats=repeats, depth=depth, size=image_size, batch_size=batch_size, json_path=json)


@bench.command()
def quality(urls: MaybeUrls = None, *, out_size: OutSize = 224, json: Json = None) -> None:
    """Measure how close three ways of sampling come to the exact result.

    The ways are one point for each output pixel, resizing before the zoom, and anti-aliased sampling. The exact result is the
    mean of 256 points in each output pixel.
    """
    from foveal.tools.bench.kernels.quality import bench_quality

    bench_quality(urls or [], size=out_size, json_path=json)


@bench.command()
def topk(*, repeats: Repeats = 7, json: Json = None) -> None:
    """Time the differentiable choice of patches, and for comparison the published way, which keeps one-hot vectors in memory."""
    from foveal.tools.bench.kernels.topk import bench_topk

    bench_topk(repeats=repeats, json_path=json)


@bench.command()
def grid(*, repeats: Repeats = 7, out_size: OutSize = 224, json: Json = None) -> None:
    """Time each family of grids, and for comparison the convolution in the paper's code."""
    from foveal.tools.bench.kernels.grid import bench_grid

    bench_grid(repeats=repeats, size=out_size, json_path=json)


@bench.command()
def layer(*, repeats: Repeats = 5, json: Json = None) -> None:
    """Time the zoom as a layer on batches of floating-point tensors, beside the published form of it."""
    from foveal.tools.bench.kernels.layer import bench_layer

    bench_layer(repeats=repeats, json_path=json)


@bench.command()
def memory(
    urls: MaybeUrls = None,
    *,
    images: Annotated[int, typer.Option(min=1, help="Number of images that each case loads.")] = 64,
    repeats: Repeats = 3,
    json: Json = None,
) -> None:
    """Measure the peak memory of loading large images, in small and in large batches."""
    from foveal.tools.bench._memory import bench_memory

    bench_memory(urls or [], images=images, repeats=repeats, json_path=json)


@bench.command()
def scale(*, repeats: Repeats = 5, json: Json = None) -> None:
    """Measure the loader's time for each megapixel, for small and large images and batches, on one processor and on two."""
    from foveal.tools.bench._scale import bench_scale

    bench_scale(repeats=repeats, json_path=json)


@bench.command()
def accuracy(
    task: Annotated[
        AccuracyTaskName, typer.Argument(help="Task: what the classifier must recognise.")
    ] = "digits-colour",
    *,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the generated shards and the runs.")
    ] = Path("accuracy"),
    data: Annotated[
        Path,
        typer.Option(
            envvar="FOVEAL_DATA",
            file_okay=False,
            help="Folder of the real images: field/pcb/, field/coffee-small/, digits/, coins/ and roads/.",
        ),
    ] = Path("data"),
    out_size: Annotated[
        list[int] | None,
        typer.Option(
            min=8,
            help="Height and width that the network sees, in pixels; may be repeated.",
            show_default="48",
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help="What is trained: uniform (even resize), kernel, separable or cdf (learned zooms), patches, oracle (a zoom to known "
            "boxes), full (1024 x 1024 pixels), or another recipe of docs/train.md. May be repeated.",
            show_default="uniform, kernel, and oracle if the task has boxes",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of trainings of each arm, with seeds 0, 1, and so on.")
    ] = 3,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Also measure accuracy on shards that `foveal zoom` wrote with each trained zoom.",
        ),
    ] = False,
    scenes: Annotated[
        int, typer.Option(min=4, help="Number of scenes to generate for training, in the tasks with digits.")
    ] = 8000,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of passes over the training images.", show_default="as the task needs"
        ),
    ] = None,
    batch_size: BatchSize = 64,
    amp: AmpOption = "off",
    num_threads: NumThreads = None,
    json: Json = None,
) -> None:
    """Train the same network on images that are resized, zoomed or cut out to the same size, and compare accuracies.

    If it is interrupted, the same command continues where it stopped.
    """
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
