"""``foveal train``: its options."""

# ruff: noqa: PLC0415 - imported when it runs: `foveal --help` answers at once

from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.choices import Amp, Family, TrainZoomName
from foveal.tools.console.options import BatchSize, NumThreads, OutSize, Urls


def train(
    urls: Urls,
    *,
    out: Annotated[Path, typer.Option(file_okay=False, help="The folder of the run.", show_default=False)],
    val: Annotated[
        list[str] | None,
        typer.Option(help="Shards to validate on after each epoch; may be repeated.", show_default=False),
    ] = None,
    zoom: Annotated[TrainZoomName, typer.Option(help="uniform trains the same without a zoom.")] = "saliency",
    out_size: OutSize = 224,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the shards.")] = 10,
    batch_size: BatchSize = 64,
    lr: Annotated[float, typer.Option(help="Peak learning rate of the classifier.")] = 3e-3,
    saliency_lr: Annotated[float, typer.Option(help="Of the saliency network, in multiples of LR.")] = 0.3,
    warmup: Annotated[float, typer.Option(help="Share of all steps in which they rise.")] = 0.3,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = 0.01,
    entropy: Annotated[float, typer.Option(help="How strongly an even saliency is rewarded.")] = 0.0,
    min_cells: Annotated[
        float | None, typer.Option(help="Up to how many cells it is spread over.  [default: no end]")
    ] = None,
    blur: Annotated[
        float,
        typer.Option(
            help="Share of all steps in which zoomed images are blurred, each time by another amount."
        ),
    ] = 0.0,
    contrast: Annotated[
        float, typer.Option(help="How strongly untrained saliency prefers what stands out.")
    ] = 0.03,
    family: Annotated[Family, typer.Option(help="How points are drawn to what matters.")] = "kernel",
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
    num_threads: NumThreads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run in OUT was, or begin where there is none.")
    ] = False,
) -> None:
    """Train a classifier, and the saliency network with it, through the loader. Also under torchrun."""
    from rich.console import Console

    from foveal.pipeline import Augment
    from foveal.tools.packing.packed import packed
    from foveal.tools.training.options import TrainOptions
    from foveal.tools.training.train import train as train_zoom

    augment = Augment(hflip=hflip, vflip=vflip, crop_scale=crop_scale, rotate_deg=rotate_deg)
    options = TrainOptions(
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
        contrast=contrast,
        family=family,
        fwhm_cells=fwhm_cells,
        temperature=temperature,
        max_zoom=max_zoom,
        augment=None if augment == Augment() else augment,
        amp=amp,
        classes=classes,
        seed=seed,
        num_threads=num_threads,
    )
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    shards = packed(urls, console=console)
    seen_after = packed(val or (), console=console, like=shards)
    train_zoom(shards, out, val=seen_after, options=options, resume=resume)
