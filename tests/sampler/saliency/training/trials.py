"""A zoom that costs little, and a trial of it with losses of a known slope."""

import torch
from torch import nn

from foveal.sampler import (
    FixedSaliency,
    PriorSaliency,
    SaliencySampler,
    ZoomTrial,
)


def small_zoom() -> SaliencySampler:
    """Return a zoom that costs little."""
    network = nn.Conv2d(3, 1, 8, stride=8)
    prior = FixedSaliency(1 + torch.arange(25.0).reshape(5, 5))
    return SaliencySampler(8, lowres_size=(40, 40), saliency=PriorSaliency(network, prior))


def drawn(zoom: SaliencySampler, images: torch.Tensor, full: torch.Tensor) -> torch.Tensor:
    """Return the strengths with which the saliency of some images was multiplied."""
    return (zoom.saliency(images) / full).flatten(1).median(dim=1).values.detach()


def run_trial(images: torch.Tensor, slope: float, steps: int) -> tuple[ZoomTrial, SaliencySampler, int]:
    """Observe losses that rise by ``slope`` standard deviations with the strength; return the number of the last step, too."""
    torch.manual_seed(1)
    zoom = small_zoom()
    trial, noise = ZoomTrial(zoom, steps=steps), torch.Generator().manual_seed(2)
    full = zoom.eval().saliency(images)
    zoom.train()
    for step in range(steps):
        strengths = drawn(zoom, images, full)
        trial.observe(slope * strengths + torch.randn(len(images), generator=noise) + 100 / (step + 1))
        if trial.helps is not None:
            return trial, zoom, step + 1
    raise AssertionError("The trial did not end.")
