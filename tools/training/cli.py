"""``foveal train``: its options."""

# ruff: noqa: PLC0415 - imported when the verb runs, so that `foveal --help` is printed at once

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.choices import IMAGE, TrainLog, TrainPriorName, TrainZoomName
from foveal.tools.console.options import (
    AmpOption,
    Bands,
    BatchSize,
    BoxFormatOption,
    BoxFrameOption,
    ColorOption,
    ImageOption,
    NumThreads,
    OutSize,
    UrlsOrImages,
    Window,
)
from foveal.tools.console.spread_choice import spread_choice
from foveal.tools.console.zoom_choice import TrainZoomChoice


@spread_choice
def train(
    urls: UrlsOrImages,
    *,
    out: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Folder of this run: its checkpoints, metrics and pictures.",
            show_default=False,
        ),
    ],
    val: Annotated[
        list[str] | None,
        typer.Option(
            help="Shards to validate on after each epoch: a path, URL or pattern; may be repeated.",
            show_default="no validation",
        ),
    ] = None,
    zoom: Annotated[
        TrainZoomName,
        typer.Option(
            help="saliency learns where to zoom; uniform trains the same classifier on evenly resized images."
        ),
    ] = "saliency",
    image: ImageOption = IMAGE,
    out_size: OutSize = 224,
    epochs: Annotated[int, typer.Option(min=1, help="Number of passes over the shards.")] = 10,
    batch_size: BatchSize = 64,
    lr: Annotated[float, typer.Option(help="Peak learning rate of the classifier.")] = 3e-3,
    saliency_lr: Annotated[
        float, typer.Option(help="Peak learning rate of the saliency network, as a multiple of --lr.")
    ] = 0.3,
    warmup: Annotated[
        float,
        typer.Option(
            help="Fraction of training spent warming up the learning rates, which rise to their peaks and then fall."
        ),
    ] = 0.3,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of the AdamW optimizer.")] = 0.01,
    entropy: Annotated[
        float,
        typer.Option(help="Weight of a reward for saliency that is spread out (its entropy); 0 for none."),
    ] = 0.0,
    min_cells: Annotated[
        float | None,
        typer.Option(
            help="Stop rewarding entropy once saliency covers this many cells.", show_default="never stop"
        ),
    ] = None,
    blur: Annotated[
        float,
        typer.Option(
            help="Fraction of training, from its start, in which zoomed images are blurred by a random amount, so that the "
            "classifier learns early to depend on the zoom."
        ),
    ] = 0.0,
    prior: Annotated[
        TrainPriorName,
        typer.Option(
            help="Saliency that training starts from. spectral: whatever differs from the rest of the image. map: the map of "
            "--saliency-member. none: an untrained network."
        ),
    ] = "spectral",
    contrast: Annotated[
        float,
        typer.Option(
            help="How strongly the untrained saliency network prefers what stands out from its surroundings; 0 for not at all."
        ),
    ] = 0.0,
    saliency_member: Annotated[
        str | None,
        typer.Option(
            help="Member of each sample that holds a map, e.g. attention.npy, heat.png or json:gaze.map (rows of non-negative "
            "numbers, of any size), which the saliency network sees beside the image.",
            show_default="the image alone",
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            help="Boxes around what decides the label, e.g. json:boxes. They teach the saliency network where to look before the "
            "classifier is trained; the trained zoom works without boxes.",
            show_default="no boxes",
        ),
    ] = None,
    box_format: BoxFormatOption = None,
    box_frame: BoxFrameOption = None,
    teach_epochs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of passes over the images, at low resolution, in which --boxes teach the saliency network.",
        ),
    ] = 4,
    saliency: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Start from the zoom in this file, the saliency.pt of an earlier run.",
            show_default="a new zoom",
        ),
    ] = None,
    trunk: Annotated[
        str | None,
        typer.Option(
            help="Pretrained model whose features the saliency network reads, e.g. timm:resnet18 or torchvision:resnet18; that "
            "library must be installed.",
            show_default="a small network",
        ),
    ] = None,
    trunk_weights: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File with the weights of --trunk, a state dict; nothing is downloaded.",
            show_default="random weights",
        ),
    ] = None,
    trunk_lr: Annotated[
        float,
        typer.Option(
            help="Peak learning rate of --trunk, as a multiple of --lr; 0 leaves its weights unchanged.",
            min=0,
        ),
    ] = 0.0,
    choice: TrainZoomChoice,
    hflip: Annotated[float, typer.Option(help="Probability of flipping an image left to right.")] = 0.0,
    vflip: Annotated[float, typer.Option(help="Probability of flipping an image upside down.")] = 0.0,
    crop_scale: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Crop images at random: smallest and largest area of a crop, as fractions of the image's area.",
            show_default="no crops",
        ),
    ] = None,
    rotate_deg: Annotated[
        float,
        typer.Option(
            help="Largest angle, in degrees, by which images are rotated at random in either direction."
        ),
    ] = 0.0,
    amp: AmpOption = "off",
    classes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of classes.", show_default="the largest label in SHARDS, plus 1"),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Seed of the initial weights, the order of samples, and all random choices."
        ),
    ] = 0,
    log: Annotated[
        TrainLog,
        typer.Option(
            help="json writes metrics to OUT/metrics.jsonl. tensorboard also writes event files with metrics and pictures, which tensorboard --logdir OUT shows."
        ),
    ] = "json",
    num_threads: NumThreads = None,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run in OUT, or start one if there is none; otherwise it is an error if OUT holds a run.",
        ),
    ] = False,
) -> None:
    """Train a classifier together with the network that decides where to zoom. For several GPUs or machines, start it with torchrun."""
    from rich.console import Console

    from foveal.pipeline import Augment
    from foveal.tools.console.pixel_options import parse_pixels
    from foveal.tools.packing.packed import image_members, packed
    from foveal.tools.training.options import TrainOptions
    from foveal.tools.training.train import train as train_zoom

    augment = Augment(hflip=hflip, vflip=vflip, crop_scale=crop_scale, rotate_deg=rotate_deg)
    rule = parse_pixels(window, bands, color)
    options = TrainOptions(
        image=image_members(urls, image),
        out_size=out_size,
        zoom=zoom,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        saliency_lr=saliency_lr,
        warmup=warmup,
        weight_decay=weight_decay,
        entropy=entropy,
        min_cells=min_cells,
        blur=blur,
        prior=prior,
        contrast=contrast,
        saliency_member=saliency_member,
        boxes=boxes,
        box_format=box_format,
        box_frame=box_frame,
        teach_epochs=teach_epochs,
        saliency=None if saliency is None else str(saliency),
        trunk=trunk,
        trunk_weights=None if trunk_weights is None else str(trunk_weights),
        trunk_lr=trunk_lr,
        **asdict(choice),
        augment=None if augment == Augment() else augment,
        amp=amp,
        classes=classes,
        seed=seed,
        log=log,
        num_threads=num_threads,
        window=rule.window,
        bands=rule.bands,
        color=rule.color,
    )
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    shards = packed(urls, console=console)
    seen_after = packed(val or (), console=console, like=shards)
    train_zoom(shards, out, val=seen_after, options=options, resume=resume)
