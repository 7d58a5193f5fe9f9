"""The verbs of ``foveal bench``. Nothing heavy is imported before one runs."""

# ruff: noqa: PLC0415 - each verb imports what it needs when it runs

from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.choices import AccuracyTaskName
from foveal.tools.console.options import AmpOption, BatchSize, Json, MaybeUrls, NumThreads, OutSize, Repeats
from foveal.tools.console.verb import VerbGroup, verb

bench = typer.Typer(
    cls=VerbGroup,
    help="Measure the speed, memory and accuracy of Foveal and of its alternatives on this machine; each prints a table.\n\n"
    "loader, peers, zoom, memory and accuracy help to decide whether to use Foveal, and how. The others time single parts, for "
    "those who change the code.",
    no_args_is_help=True,
)

Images = Annotated[
    int,
    typer.Option(
        min=1, help="Number of images in an epoch; if SHARDS hold fewer, some are loaded more than once."
    ),
]


@verb(bench, "foveal bench loader 'shards/train/*.tar' --json loader.json")
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
            help="Time the loader on the GPU instead, and for comparison nvJPEG alone and the loader on the CPU. Without it, "
            "nothing runs on a GPU.",
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


@verb(bench, "foveal bench gpu --json gpu.json", name="gpu")
def gpu_verb(
    urls: MaybeUrls = None,
    *,
    device: Annotated[
        str,
        typer.Option(
            help="GPU to test: cuda, or one of several, e.g. cuda:1. With cpu the command runs as a rehearsal without a GPU; its "
            "times mean nothing."
        ),
    ] = "cuda",
    seconds: Annotated[
        float,
        typer.Option(
            min=1,
            help="Time limit for all steps together, in seconds; steps for which no time is left are skipped.",
        ),
    ] = 480.0,
    json: Json = None,
) -> None:
    """Test and time what needs a GPU: the GPU tests, the loader, training, kernels, memory.

    Run it in a clone of the repository, because it runs tests. With --json,
    each result is written to the file at once. If a step fails, the others
    still run, and the exit status is 1.
    """
    from foveal.tools.bench.gpu.check import check_gpu

    found = check_gpu(urls or [], device=device, seconds=seconds, json_path=json)
    if any("error" in each for each in found.values()):
        raise typer.Exit(1)


@verb(bench, "foveal bench peers 'shards/train/*.tar' --json peers.json")
def peers(
    urls: MaybeUrls = None,
    *,
    images: Images = 128,
    batch_size: BatchSize = 32,
    repeats: Repeats = 5,
    out_size: OutSize = 224,
    json: Json = None,
) -> None:
    r"""Time this loader, and those others that are installed, on the same images: webdataset, DALI, SPDL, nvImageCodec and more.

    pip install 'foveal\[peers]' installs them. One that is not installed is
    listed as such.
    """
    from foveal.tools.bench.peers.peers import bench_peers

    bench_peers(
        urls or [], images=images, batch_size=batch_size, repeats=repeats, size=out_size, json_path=json
    )


@verb(bench, "foveal bench report loader.json peers.json --out chart.png")
def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
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


@verb(bench, "foveal bench zoom 'shards/train/*.tar'", name="zoom")
def bench_zoom_verb(
    urls: MaybeUrls = None, *, repeats: Repeats = 5, out_size: OutSize = 224, json: Json = None
) -> None:
    """Time foveal zoom for each file format that it writes, and for comparison decoding alone."""
    from foveal.tools.bench._zoom import bench_zoom

    bench_zoom(urls or [], repeats=repeats, size=out_size, json_path=json)


@verb(bench, "foveal bench sample --out-size 448")
def sample(*, repeats: Repeats = 7, out_size: OutSize = 224, json: Json = None) -> None:
    """Time how Foveal samples a zoomed image from an original of 12 megapixels, forward and backward, and for comparison torch's grid_sample.

    If there is a GPU, its kernel is timed, too.
    """
    import torch

    from foveal.tools.bench.kernels.sample import bench_sample

    bench_sample(repeats=repeats, size=out_size, json_path=json)
    if torch.cuda.is_available():
        from foveal.tools.bench.kernels.kernel import bench_kernel

        bench_kernel(repeats=repeats, size=out_size, json_path=json and json.with_stem(f"{json.stem}-kernel"))


@verb(bench, "foveal bench faults --percent 5")
def faults(
    urls: MaybeUrls = None,
    *,
    images: Images = 400,
    percent: Annotated[
        float,
        typer.Option(
            min=0, max=100, help="Percentage of the images that are damaged, in a copy, for this measurement."
        ),
    ] = 1.0,
    batch_size: BatchSize = 32,
    repeats: Repeats = 5,
    out_size: OutSize = 224,
    json: Json = None,
) -> None:
    """Time an epoch in which some images are bad, and for comparison an epoch without, to see what bad images cost."""
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


@verb(bench, "foveal bench adaptive --depth 18 --image-size 256")
def adaptive(
    *,
    repeats: Repeats = 5,
    depth: Annotated[int, typer.Option(help="Number of layers of the ResNet: 18, 34, 50, 101 or 152.")] = 50,
    image_size: Annotated[
        int, typer.Option(min=24, help="Height and width of the network's input, in pixels.")
    ] = 448,
    batch_size: BatchSize = 1,
    json: Json = None,
) -> None:
    """Time a ResNet whose last two stages compute only a part of the image at fine resolution, and for comparison one that computes all of it so.

    The part, 25, 50 or 75 % of the feature map's positions, is where drawn
    images are most salient. In Python it is foveal.sampler.AdaptiveResNet.
    """
    from foveal.tools.bench.kernels.adaptive import bench_adaptive

    bench_adaptive(repeats=repeats, depth=depth, size=image_size, batch_size=batch_size, json_path=json)


@verb(bench, "foveal bench quality 'shards/train/*.tar'")
def quality(urls: MaybeUrls = None, *, out_size: OutSize = 224, json: Json = None) -> None:
    """Measure how close four ways of sampling come to the exact result, in decibels: higher is closer.

    The ways are one point for each output pixel (as grid_sample), resizing
    before the zoom, anti-aliased sampling, as Foveal does it, and the same at
    doubled size, of which 2 x 2 pixels are averaged. The exact result is the
    mean of 256 points in each output pixel.
    """
    from foveal.tools.bench.kernels.quality import bench_quality

    bench_quality(urls or [], size=out_size, json_path=json)


@verb(bench, "foveal bench topk --repeats 3")
def topk(*, repeats: Repeats = 7, json: Json = None) -> None:
    """Time the choice of the best patches with gradients (perturbed top-K), and for comparison the published way (Cordonnier et al. 2021).

    The published way keeps one-hot vectors in memory, Foveal keeps indices. In
    Python it is foveal.sampler.PerturbedTopK.
    """
    from foveal.tools.bench.kernels.topk import bench_topk

    bench_topk(repeats=repeats, json_path=json)


@verb(bench, "foveal bench grid --repeats 3")
def grid(*, repeats: Repeats = 7, out_size: OutSize = 224, json: Json = None) -> None:
    """Time how saliency becomes a sampling grid, for each --family of foveal view, and for comparison the convolution in the code of Recasens et al. 2018."""
    from foveal.tools.bench.kernels.grid import bench_grid

    bench_grid(repeats=repeats, size=out_size, json_path=json)


@verb(bench, "foveal bench layer --repeats 3")
def layer(*, repeats: Repeats = 5, json: Json = None) -> None:
    """Time the zoom as a layer in a network, on batches of floating-point tensors, and for comparison the layer of Recasens et al. 2018."""
    from foveal.tools.bench.kernels.layer import bench_layer

    bench_layer(repeats=repeats, json_path=json)


@verb(bench, "foveal bench memory --images 16 --repeats 1")
def memory(
    urls: MaybeUrls = None,
    *,
    images: Annotated[int, typer.Option(min=1, help="Number of images that each case loads.")] = 64,
    repeats: Repeats = 3,
    json: Json = None,
) -> None:
    """Measure the most main memory, in MB, that loading large images takes, in small and in large batches."""
    from foveal.tools.bench._memory import bench_memory

    bench_memory(urls or [], images=images, repeats=repeats, json_path=json)


@verb(bench, "foveal bench scale --repeats 1")
def scale(*, repeats: Repeats = 5, json: Json = None) -> None:
    """Measure how many milliseconds the loader takes for a megapixel of original, for small and large images and batches, with one processor and with two."""
    from foveal.tools.bench._scale import bench_scale

    bench_scale(repeats=repeats, json_path=json)


@verb(bench, "foveal bench accuracy digits-colour --arm uniform --arm kernel --seeds 1")
def accuracy(
    task: Annotated[
        AccuracyTaskName,
        typer.Argument(
            help="What the classifier must recognise. digits-colour: the one coloured digit in a drawn scene. digits: the one digit "
            "among shapes made of parts of digits. coins: which euro coin a photograph shows. roads: whether a road has a crack. "
            "pcb: which defect a circuit board has. coffee: which disease a leaf has."
        ),
    ] = "digits-colour",
    *,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the shards that are drawn, and for the runs.")
    ] = Path("accuracy"),
    data: Annotated[
        Path,
        typer.Option(
            envvar="FOVEAL_DATA",
            file_okay=False,
            help="Folder with the data of the task. digits and digits-colour need MNIST's four files, as they are published, in "
            "digits/; the other tasks need shards in coins/, roads/, field/pcb/ or field/coffee-small/. Foveal comes without data.",
        ),
    ] = Path("data"),
    out_size: Annotated[
        list[int] | None,
        typer.Option(
            min=8,
            help="Height and width of the images that the network sees, in pixels. May be repeated: each size is trained.",
            show_default="48",
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<arm>",
            help="How images become small. uniform: a uniform resize. kernel, separable, cdf: a learned zoom of this family. "
            "spectral: the zoom that needs no training. patches: four cut-outs. oracle: a zoom on the true boxes. full: not at "
            "all, 1024 x 1024 pixels. An unknown name prints all others. May be repeated.",
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
            help="Also measure each classifier whose arm learns a zoom, without training it again, on shards that foveal zoom writes "
            "with that zoom. Without it, images are zoomed while they are loaded.",
        ),
    ] = False,
    scenes: Annotated[
        int | None,
        typer.Option(
            min=4,
            help="Number of images to draw for training, in the tasks with digits.",
            show_default="8000",
        ),
    ] = None,
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
    """Train the same network on images that are resized, zoomed or cut out to the same size, and compare the accuracies.

    With the defaults it takes hours. If it is interrupted, the same command
    continues where it stopped.
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
