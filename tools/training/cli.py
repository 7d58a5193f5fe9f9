"""``foveal train``: its options."""

# ruff: noqa: PLC0415 - imported when the verb runs, so that `foveal --help` is printed at once

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from foveal._choices import EVIDENCE, TEACH_EPOCHS, TRIAL
from foveal.tools.console.choices import IMAGE, TrainLog, TrainPriorName, TrainZoomName
from foveal.tools.console.options import (
    LABELS,
    PIXELS,
    AmpOption,
    Bands,
    BoxFormatOption,
    BoxFrameOption,
    CacheSize,
    ColorOption,
    ImageOption,
    MaxPixels,
    OutSize,
    Quarantine,
    StorageOptions,
    UrlsOrImages,
    Window,
)
from foveal.tools.console.spread_choice import spread_choice
from foveal.tools.console.zoom_choice import TrainZoomChoice

OPTIMIZER = "Optimization"
NETWORK = "Where the zoom looks"
AUGMENTATION = "Augmentation"


@spread_choice
def train(
    urls: UrlsOrImages,
    *,
    out: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Folder of this run. At the end it holds saliency.pt (the trained zoom, for foveal zoom, view and explore), model.pt "
            "(the classifier's weights), metrics.jsonl, and a picture for each epoch. If it holds a run already, --resume is "
            "needed.",
            show_default=False,
        ),
    ],
    val: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<shards>",
            help="Shards, or a folder of images, on which accuracy is measured after each epoch; nothing is learned from them. May "
            "be repeated.",
            show_default="no validation",
        ),
    ] = None,
    zoom: Annotated[
        TrainZoomName,
        typer.Option(
            help="saliency: the zoom is learned with the classifier. uniform: the same training on uniformly resized images, as a "
            "baseline, or for shards that foveal zoom has zoomed."
        ),
    ] = "saliency",
    out_size: OutSize = 224,
    epochs: Annotated[int, typer.Option(min=1, help="Number of passes over SHARDS.")] = 10,
    batch_size: Annotated[
        int,
        typer.Option(min=1, help="Number of images in a batch; under torchrun, in a batch of each process."),
    ] = 64,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run in OUT from its last checkpoint, or start one if there is none. Without it, a run in OUT is an "
            "error, and stays as it is.",
        ),
    ] = False,
    classes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of classes.", show_default="the largest class number in SHARDS, plus 1"
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Seed of the initial weights, of the order of samples, and of all random choices."
        ),
    ] = 0,
    amp: AmpOption = "off",
    log: Annotated[
        TrainLog,
        typer.Option(
            help="Where metrics are written. json: to OUT/metrics.jsonl. tensorboard: there, and to event files that tensorboard "
            "--logdir OUT shows, with the pictures."
        ),
    ] = "json",
    quarantine: Quarantine = None,
    storage_options: StorageOptions = "{}",
    cache_size: CacheSize = None,
    lr: Annotated[
        float,
        typer.Option(
            help="Learning rate of the classifier at its peak: it rises during --warmup, and then falls to zero along a cosine.",
            rich_help_panel=OPTIMIZER,
        ),
    ] = 3e-3,
    saliency_lr: Annotated[
        float,
        typer.Option(
            metavar="<factor>",
            help="Learning rate of the saliency network, as a multiple of --lr.",
            rich_help_panel=OPTIMIZER,
        ),
    ] = 0.3,
    trunk_lr: Annotated[
        float,
        typer.Option(
            metavar="<factor>",
            help="Learning rate of the model of --trunk, or of the one in the file of --saliency, as a multiple of --lr; with 0 its weights "
            "never change.",
            min=0,
            rich_help_panel=OPTIMIZER,
        ),
    ] = 0.0,
    warmup: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Fraction of the training, at its start, in which the learning rates rise.",
            rich_help_panel=OPTIMIZER,
        ),
    ] = 0.3,
    weight_decay: Annotated[
        float,
        typer.Option(
            help="Weight decay of the optimizer, AdamW, for all networks.", rich_help_panel=OPTIMIZER
        ),
    ] = 0.01,
    entropy: Annotated[
        float,
        typer.Option(
            help="Weight of a reward for saliency that is spread over many cells (its entropy), which keeps the zoom from settling on "
            "one place too early. 0 for no reward; if you need it, begin with 0.3 and --min-cells 50.",
            rich_help_panel=OPTIMIZER,
        ),
    ] = 0.0,
    min_cells: Annotated[
        float | None,
        typer.Option(
            help="With --entropy: number of cells, of the 31 x 31 of a saliency map, over which saliency should be spread at least. "
            "More cells bring no further reward.",
            show_default="more cells always bring more reward",
            rich_help_panel=OPTIMIZER,
        ),
    ] = None,
    evidence: Annotated[
        float,
        typer.Option(
            min=0,
            help="How strongly the classifier teaches the saliency network where in an image it found what decides the class, once the "
            "zoom is known to help. 0 for not at all; a new saliency network is then a smaller one.",
            rich_help_panel=OPTIMIZER,
        ),
    ] = EVIDENCE,
    blur: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Fraction of the training, at its start, in which the zoomed images are blurred, each batch by a random amount. Only "
            "what the zoom enlarges then stays legible, so the classifier depends on the zoom from the beginning. 0 for no blur.",
            rich_help_panel=OPTIMIZER,
        ),
    ] = 0.0,
    trial: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="<fraction>",
            help="Fraction of the training in which the zoom has to show that it helps. Each image is zoomed with a random strength, "
            "until it is certain that images with a stronger zoom have lower losses; then all are zoomed in full. If that does not show, "
            "the rest of the training resizes evenly. 0 keeps the zoom in any case. Without a prior (--prior none, --boxes) there is no "
            "trial, and the zoom stays.",
            rich_help_panel=OPTIMIZER,
        ),
    ] = TRIAL,
    saliency: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Begin with a trained zoom, the saliency.pt of an earlier run, and train it further. Its network takes the place of "
            "the one that --prior, --contrast, --saliency-member, --boxes and --trunk describe; they cannot be given, too. A zoom that "
            "its --trial took away is refused.",
            show_default="a new zoom",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    prior: Annotated[
        TrainPriorName,
        typer.Option(
            help="Saliency that the network starts from; what the network learns is added to it. spectral: parts that differ from the "
            "rest of the image, as in foveal view. map: the map of --saliency-member. none: the network decides alone, and hardly "
            "zooms before it has learned.",
            rich_help_panel=NETWORK,
        ),
    ] = "spectral",
    saliency_member: Annotated[
        str | None,
        typer.Option(
            metavar="<member>",
            help="Member of each sample with a map that the saliency network sees beside the image: attention.npy, heat.png, "
            "gaze.json, or an entry of a json member, e.g. json:gaze.map. The map has rows of non-negative numbers, and any size.",
            show_default="no map, the network sees the image alone",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    contrast: Annotated[
        float,
        typer.Option(
            help="How strongly the saliency network prefers what stands out from its surroundings before it has learned; 0 for not at "
            "all. Useful with --prior none, e.g. 0.03; not for the network of --boxes or --trunk. The contrast of images is not changed.",
            rich_help_panel=NETWORK,
        ),
    ] = 0.0,
    trunk: Annotated[
        str | None,
        typer.Option(
            metavar="<library:model>",
            help="Build the saliency network on the features of a pretrained model, e.g. timm:resnet18 or torchvision:resnet18; that "
            "library must be installed. The classifier does not use it.",
            show_default="a small network of Foveal's",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    trunk_weights: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File with the pretrained weights of --trunk, a state dict. Without it the model is random, because nothing is "
            "downloaded.",
            show_default="random weights",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    choice: TrainZoomChoice,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="<member:entry>",
            help="Boxes around what decides the class, e.g. json:boxes (the entry `boxes` of each sample's json member), "
            "json:annotations[].bbox (COCO), xml (Pascal VOC) or txt (YOLO). Before the classifier is trained, they teach a "
            "saliency network, without a prior, where to look; the trained zoom needs no boxes.",
            show_default="no boxes",
            rich_help_panel=LABELS,
        ),
    ] = None,
    box_format: BoxFormatOption = None,
    box_frame: BoxFrameOption = None,
    teach_epochs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of passes over SHARDS in which --boxes teach the saliency network, before the passes of --epochs. They read "
            "low-resolution copies, and take less time.",
            rich_help_panel=LABELS,
        ),
    ] = TEACH_EPOCHS,
    hflip: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Probability that a training image is mirrored left to right.",
            rich_help_panel=AUGMENTATION,
        ),
    ] = 0.0,
    vflip: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Probability that a training image is mirrored top to bottom.",
            rich_help_panel=AUGMENTATION,
        ),
    ] = 0.0,
    crop_scale: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="<smallest> <largest>",
            help="Crop training images at random: two numbers, the smallest and the largest area of a crop as fractions of the "
            "image's area, e.g. --crop-scale 0.5 1.",
            show_default="no crops",
            rich_help_panel=AUGMENTATION,
        ),
    ] = None,
    rotate_deg: Annotated[
        float,
        typer.Option(
            min=0,
            max=180,
            help="Largest angle, in degrees, by which a training image is rotated at random in either direction.",
            rich_help_panel=AUGMENTATION,
        ),
    ] = 0.0,
    image: ImageOption = IMAGE,
    max_pixels: MaxPixels = None,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
    num_threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of threads that decode images, in each process.",
            show_default="one for each available processor, shared among the processes of torchrun",
            rich_help_panel=PIXELS,
        ),
    ] = None,
) -> None:
    """Train a classifier, and together with it the network that decides where to zoom.

    Each sample needs an image and its class: a member cls with a whole number
    from 0, as foveal pack writes it. The classifier is a small convolutional
    network; foveal.tools.train does the same in Python with one of yours. A
    GPU is used if there is one. For several GPUs or machines, torchrun starts
    it: torchrun --nproc-per-node 4 -m -- foveal.tools train SHARDS --out OUT.
    """
    from rich.console import Console

    from foveal.pipeline import Augment
    from foveal.pipeline.decoding import MAX_PIXELS
    from foveal.tools.console.sample_options import parse_pixels
    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.packing.common_classes import packed_for_training
    from foveal.tools.packing.packed import image_members
    from foveal.tools.training.options import TrainOptions
    from foveal.tools.training.run import LAST
    from foveal.tools.training.train import train as train_zoom

    augment = Augment(hflip=hflip, vflip=vflip, crop_scale=crop_scale, rotate_deg=rotate_deg)
    rule = parse_pixels(window, bands, color)
    options = TrainOptions(
        image=image_members([*urls, *(val or ())], image),
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
        evidence=evidence,
        blur=blur,
        trial=trial,
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
        max_pixels=MAX_PIXELS if max_pixels is None else max_pixels,
        quarantine=None if quarantine is None else str(quarantine),
        storage_options=parse_storage_options(storage_options),
        cache_size=cache_size,
    )
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    shards, seen_after = packed_for_training(urls, val or (), console=console)
    try:
        train_zoom(shards, out, val=seen_after, options=options, resume=resume)
    except KeyboardInterrupt:
        if (out / LAST).exists():
            console.print(
                f"Interrupted. With --resume the same command goes on from the last checkpoint in {out}."
            )
        raise
