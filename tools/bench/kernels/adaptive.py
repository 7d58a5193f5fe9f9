"""``foveal bench adaptive``: how long do the last stages of a ResNet take if only a part of the image is fine?

The stages are layer3 and layer4 of a ResNet, on the features of generated scenes at a stride of 8. The reference is fine
everywhere: a dilated network, run by torch's dense convolutions in the faster of its two memory layouts. The adaptive
stages are fine where a scene is most salient, and have a quarter of the cells elsewhere. The time covers everything from
features and mask to dense features. The table also has the share of nodes, which is the time that one would expect.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int
from rich.console import Console
from torch import Tensor

from foveal.sampler import (
    AdaptiveDownsample,
    AdaptiveResNet,
    DilatedResNet,
    SpectralSaliency,
    lowres,
    saliency_mask,
)
from foveal.tools.bench.kernels._agreement import check_agreement
from foveal.tools.bench.timing import alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.table import print_table
from foveal.tools.scenes.scenes import draw_scene

KEPT = (0.25, 0.5, 0.75)
TOLERANCE = 1e-4

Stages = Callable[[Tensor], Tensor]


@torch.no_grad()
def bench_adaptive(
    *,
    repeats: int = 5,
    depth: int = 50,
    size: int = 448,
    batch_size: int = 1,
    width: int = 64,
    json_path: Path | None = None,
) -> dict[float, float]:
    """Time the stages after checking that they agree, print a table, and return each share's time as a part of the dense one.

    Args:
        repeats: Rounds; each round times every case once.
        depth: Of the ResNet, 18 to 152 layers.
        size: Height and width of the scenes in pixels; the fine features have an eighth of it.
        batch_size: Scenes in a batch. On one thread, torch's 1 x 1 convolutions are twice as fast from 16 images on;
            those of the adaptive stages always are.
        width: Channels of the ResNet's first stage.
        json_path: File to which the numbers are also written.

    Raises:
        ValueError: The adaptive stages differ from the dense ones if everything is fine, or if everything is coarse.
    """
    console = Console()
    torch.manual_seed(0)
    net = AdaptiveResNet(depth, width=width).eval()
    scenes = [torch.from_numpy(draw_scene(k, size=(size, size)).image) for k in range(batch_size)]
    fine = net.fine((torch.stack(scenes).permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.225)
    cells = (fine.shape[2], fine.shape[3])
    adaptive = AdaptiveDownsample(net.layer3, net.layer4).eval()
    differ = max(check_features(adaptive, dense_stages(net, 8 << level), fine, level) for level in (0, 1))
    console.print(
        f"layer3 and layer4 of a ResNet-{depth} on {batch_size} × {cells[0]} × {cells[1]} cells, {describe_machine()}, "
        f"{torch.get_num_threads()} threads; differ by {differ:.0e} from the dense networks",
        soft_wrap=True,
    )
    masks = {share: budget(scenes, cells, share) for share in KEPT}
    ordered, packed, coarse = dense_stages(net, 8), dense_stages(net, 8), dense_stages(net, 16)
    packed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    packed_fine = fine.to(memory_format=torch.channels_last)
    cases: dict[str, Callable[[], object]] = {
        "dense, stride 8": lambda: ordered(fine),
        "dense, stride 8, channels last": lambda: packed(packed_fine),
        "dense, stride 16": lambda: coarse(fine),
        **{_name(share): partial(adaptive, fine, mask) for share, mask in masks.items()},
    }
    timings = alternate(cases, repeats, console=console)
    dense = min(list(timings)[:2], key=lambda name: timings[name].median)
    parts = {name: timings[dense].times_faster_than(timing) for name, timing in timings.items()}
    nodes = {_name(share): f"{1 - 0.75 * mask.float().mean():.2f}" for share, mask in masks.items()}
    rows = [
        [name, f"{1000 * timing.median:.0f}", f"{parts[name]:.2f}", nodes.get(name, "")]
        for name, timing in timings.items()
    ]
    print_table(console, ["", "ms", "of dense", "nodes"], rows)
    ratios = {share: parts[_name(share)] for share in KEPT}
    if json_path:
        facts = {
            "depth": depth,
            "cells": cells,
            "width": width,
            "of_dense": {str(k): v for k, v in ratios.items()},
        }
        write_json(json_path, "adaptive", timings, **facts)
    return ratios


def dense_stages(net: DilatedResNet, output_stride: int) -> torch.nn.Sequential:
    """Return the last two stages of the ordinary network with the same weights."""
    dense = DilatedResNet.from_weights(net.state_dict(), output_stride=output_stride).eval()
    return torch.nn.Sequential(dense.layer3, dense.layer4)


def budget(scenes: list[Tensor], cells: tuple[int, int], share: float) -> Int[Tensor, "batch 1 rows cols"]:
    """Return a mask that keeps this share of each scene fine: its most salient part."""
    logits = SpectralSaliency((-(-cells[0] // 2), -(-cells[1] // 2)))(lowres(scenes, (128, 128)))
    return saliency_mask(logits.exp(), cells, keep=share)


def check_features(
    adaptive: AdaptiveDownsample, dense: Stages, fine: Float[Tensor, "batch channel rows cols"], level: int
) -> float:
    """Return the largest difference from the dense stages, relative to the largest value, for a mask of one level.

    Raises:
        ValueError: By more than ``TOLERANCE``.
    """
    mask = torch.full((fine.shape[0], 1, *fine.shape[2:]), level)
    step = 2**level
    expected = dense(fine)
    found = adaptive(fine, mask)[:, :, ::step, ::step]
    return check_agreement(f"features of level {level}", found, expected, TOLERANCE, relative=True)


def _name(share: float) -> str:
    return f"{share:.0%} fine"
