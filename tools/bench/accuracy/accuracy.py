"""``foveal bench accuracy``: how much accuracy does a network of the same input size gain by a zoom?

Each arm is a way of making images small. All arms are trained by the function behind ``foveal train``, with the same
network, steps, order and seeds, on the same shards. *uniform* resizes evenly; *kernel*, *separable* and *cdf* are learned
zooms with these families of grids, and further arms learn the first with other settings; *spectral* is the zoom that the
learned one starts from, without learning; *patches* are four patches of the full resolution with a quarter of the pixels
each; *oracle* zooms to the known boxes, as a perfect saliency network would; *taught* is a network that learned from the
boxes of the training images; *no-evidence* one that the classifier's evidence does not teach; *full* is the whole image at 1024 pixels, to show its cost.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from foveal._choices import PRIOR_GAIN, PRIOR_POWERS
from foveal.sampler import BoxSaliency, PatchSampler, SaliencySampler, SpectralSaliency, UniformSampler
from foveal.tools.bench.accuracy._offline import accuracy_offline
from foveal.tools.bench.accuracy._tasks import DRAWN, AccuracyTask, make_task
from foveal.tools.bench.timing import write_report
from foveal.tools.console.machine import describe_machine, environment
from foveal.tools.console.table import print_table
from foveal.tools.console.zoom_choice import PAPER
from foveal.tools.training.options import TrainOptions
from foveal.tools.training.small_convnet import SmallConvNet
from foveal.tools.training.train import train

FULL_PX = 1024
_SCENES = 8000
_PATCHES = 4
# The saliency of the box relative to that of the rest of the image.
_AMPLITUDE = 4.0

Zoom = Callable[[TrainOptions], nn.Module]


def _oracle(options: TrainOptions) -> nn.Module:
    return SaliencySampler(
        options.out_size,
        saliency=BoxSaliency("json:boxes", amplitude=_AMPLITUDE),
        lowres_size=(64, 64),
        max_zoom=options.of_new_zoom["max_zoom"],
    )


def _spectral(options: TrainOptions) -> nn.Module:
    return SaliencySampler(
        options.out_size,
        saliency=SpectralSaliency(power=PRIOR_POWERS[-1]),
        temperature=options.of_new_zoom["temperature"] / PRIOR_GAIN,
        max_zoom=options.of_new_zoom["max_zoom"],
    )


OTHERS: dict[str, Zoom] = {
    "uniform": lambda options: UniformSampler(options.out_size),
    "patches": lambda options: PatchSampler(
        _PATCHES, options.out_size // 2, lowres_size=128, gradient="relative"
    ),
    "oracle": _oracle,
    "spectral": _spectral,
    "full": lambda _: UniformSampler(FULL_PX),
}
# What `foveal train` started from before it had a prior: random filters that prefer what stands out.
_NO_PRIOR: dict[str, Any] = {"prior": "none", "contrast": 0.03, "temperature": 1 / 8}
ZOOMS: dict[str, dict[str, Any]] = {
    "kernel": {},
    "separable": {"family": "separable"},
    "cdf": {"family": "cdf"},
    "cdf-unbounded": {"family": "cdf", "max_zoom": math.inf},
    "taught": {"boxes": "json:boxes"},
    "no-evidence": {"evidence": 0.0},
    "no-prior": _NO_PRIOR,
    "flat": {"prior": "none", "temperature": 1 / 8},
    "unbounded": {"max_zoom": math.inf},
    "bound-2": {"max_zoom": 2.0},
    "bound-10": {"max_zoom": 10.0},
    "narrow": {"fwhm_cells": 4.0},
    "paper": {"prior": "none", **PAPER.given},
    "fast": {"saliency_lr": 1.0},
    "entropy": {"entropy": 0.05},
    "budget": {"entropy": 0.3, "min_cells": 50.0},
    "blur": {"blur": 0.5},
}
"""The learned arms, with the options in which they differ from the defaults of ``foveal train``. docs/train.md has the results of those that were run."""
ARMS = (*OTHERS, *ZOOMS)


class PatchNet(nn.Module):
    """The same network on each patch. Of each feature, the largest value over all patches counts."""

    def __init__(self, net: SmallConvNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, patches: Tensor) -> Tensor:
        """From (batch, k, 3, size, size) to logits."""
        batch, k = patches.shape[:2]
        found = self.net.features(patches.flatten(0, 1) - 0.5).amax((2, 3))
        logits: Tensor = self.net.head(found.unflatten(0, (batch, k)).amax(1))
        return logits


def bench_accuracy(
    name: str,
    *,
    out: Path,
    data: Path,
    sizes: Sequence[int] = (48,),
    arms: Sequence[str] = (),
    seeds: int = 3,
    offline: bool = False,
    scenes: int | None = None,
    epochs: int | None = None,
    options: TrainOptions | None = None,
    json_path: Path | None = None,
) -> dict[str, list[float]]:
    """Train every arm at every size with every seed, print a table, and return the accuracies.

    Runs that are complete in ``out`` are not trained again, and an interrupted one is continued.

    Args:
        name: The task, one of ``TASKS``.
        out: Where scenes and runs are kept.
        data: The folder that holds ``field/pcb``, ``field/coffee-small``, ``digits``, ``coins`` and ``roads``.
        sizes: Heights and widths of the network's input, in pixels.
        arms: Some of ``ARMS``; if empty: uniform, kernel, and oracle if the task has boxes.
        seeds: Number of trainings of each arm, with seeds 0, 1, ...
        offline: Whether to measure the arms that learn a zoom also on shards that ``foveal zoom`` wrote with it.
        scenes: How many scenes with digits to train on; None for 8,000. Not for other tasks.
        epochs: Epochs of each training; None for the default of the task.
        options: Options of the trainings; out_size, epochs, augment, classes and seed are overridden.
        json_path: Where the numbers go too.

    Returns:
        For each arm and size, such as ``"kernel 48"``, the accuracies on the held-out images.

    Raises:
        ValueError: An arm is unknown or the task cannot have it, or it draws no scenes; or the data are missing.
    """
    console = Console(soft_wrap=True, highlight=False)
    _check_names(arms, offline=offline)
    if scenes is not None and name not in DRAWN:
        raise ValueError(
            f"scenes must be None for a task that draws none, got {scenes!r} with {name!r} – leave it out."
        )
    task = make_task(
        name, out / "shards", data, scenes=_SCENES if scenes is None else scenes, console=console
    )
    arms = arms or ["uniform", "kernel", *(["oracle"] if task.has_boxes else [])]
    _check_boxes(arms, task)
    if offline and (without := [arm for arm in arms if arm not in ZOOMS]):
        console.print(
            f"Not measured offline, because they learn no zoom that foveal zoom could take: {', '.join(without)}."
        )
    common: dict[str, Any] = {
        "classes": task.classes,
        "epochs": epochs or task.epochs,
        "augment": task.augment,
    }
    options = replace(options or TrainOptions(), **common)
    lines: dict[str, list[dict[str, Any]]] = {}
    # In this order, results for all arms with fewer seeds come first.
    cases = itertools.product(range(seeds), sizes, arms)
    for seed, size, arm in cases:
        console.print(f"{name}, {size} × {size}, {arm}, seed {seed}")
        run, chosen = out / "runs" / f"{name}-{size}-{arm}-{seed}", replace(options, out_size=size, seed=seed)
        line = _run(arm, task, run, chosen)
        if offline and arm in ZOOMS:
            line["offline_accuracy"] = accuracy_offline(run, task, chosen)
        lines.setdefault(f"{arm} {size}", []).append(line)
    images, held_out, most = task.counts()
    console.print(
        f"{name}: {options.epochs} epochs of {images} images, accuracy on {held_out} others, of which {most:.1%} have the same "
        f"label; on {describe_machine()}"
    )
    titles = ["", "accuracy", "from", "to", "offline", "seeds", "train images/s", "cells"]
    print_table(console, titles, [_row(name, found) for name, found in lines.items()])
    if json_path:
        counts = {"train": images, "held out": held_out, "of the same label": most}
        told = asdict(options) | options.of_new_zoom
        report = {"benchmark": "accuracy", "task": name, "options": told, "images": counts}
        report |= {"runs": lines, "environment": environment()}
        write_report(json_path, report)
    return {name: [line["val_accuracy"] for line in found] for name, found in lines.items()}


def _run(arm: str, task: AccuracyTask, run: Path, options: TrainOptions) -> dict[str, Any]:
    torch.manual_seed(options.seed)
    if arm == "patches":  # patches are not augmented
        options = replace(options, augment=None)
    options = replace(options, **ZOOMS.get(arm, {}))
    zoom = OTHERS[arm](options) if arm in OTHERS else options.make_zoom()
    torch.manual_seed(options.seed)  # again: a zoom draws weights, and all arms begin with one classifier
    net = SmallConvNet(task.classes)
    model = PatchNet(net) if arm == "patches" else net
    return train(task.train, run, val=task.val, model=model, zoom=zoom, options=options, resume=True)


def _check_names(arms: Sequence[str], *, offline: bool) -> None:
    for arm in arms:
        if arm not in ARMS:
            raise ValueError(f"arms must be of {', '.join(ARMS)}, got {arm!r}.")
    if offline and arms and not ZOOMS.keys() & set(arms):
        raise ValueError(
            f"arms must have one that learns a zoom with offline=True, got {', '.join(arms)} – add kernel, or leave out --offline."
        )


def _check_boxes(arms: Sequence[str], task: AccuracyTask) -> None:
    for arm in ("oracle", "taught"):
        if arm in arms and not task.has_boxes:
            raise ValueError(
                f"arms must be without {arm} for a task without boxes, got {arm!r} – leave it out."
            )


def _row(name: str, lines: list[dict[str, Any]]) -> list[str]:
    accuracies = [100 * line["val_accuracy"] for line in lines]
    offline = [100 * line["offline_accuracy"] for line in lines if "offline_accuracy" in line]
    speeds = [line["train_images_per_s"] for line in lines]
    return [
        name,
        f"{statistics.mean(accuracies):.1f} %",
        f"{min(accuracies):.1f}",
        f"{max(accuracies):.1f}",
        f"{statistics.mean(offline):.1f} %" if offline else "",
        f"{len(lines)}",
        f"{statistics.median(speeds):.0f}",
        ""
        if all(line["val_cells"] == 1 for line in lines)
        else f"{statistics.mean(line['val_cells'] for line in lines):.0f}",
    ]
