"""What a zoom needs from a loader is read from the module."""

import re

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

from foveal.sampler import (
    BoxSaliency,
    MapSaliency,
    MixedResolution,
    PatchSampler,
    PriorSaliency,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    Zoomed,
    ZoomNeeds,
)


class Own(nn.Module):
    """A user's zoom with only the required method."""

    def forward(self, images, lowres=None):
        grid = torch.zeros(len(images), 1, 1, 2)
        return Zoomed(torch.zeros(len(images), 3, 1, 1), grid, torch.ones(len(images), 1, 1, 1))


class TakesAnything(Own):
    """A wrapper that passes all arguments on."""

    def forward(self, images, lowres=None, **others):
        return super().forward(images, lowres)


@pytest.mark.parametrize(
    ("zoom", "needs"),
    [
        (Own(), ZoomNeeds(name="Own", lowres_size=None, source_px=None, takes_views=False, boxes_from=None)),
        (
            TakesAnything(),
            ZoomNeeds(
                name="TakesAnything", lowres_size=None, source_px=None, takes_views=True, boxes_from=None
            ),
        ),
        (
            SaliencySampler((20, 30), saliency=BoxSaliency("json:boxes"), lowres_size=(8, 9), max_zoom=2.0),
            ZoomNeeds(
                name="SaliencySampler",
                lowres_size=(8, 9),
                source_px=SaliencySampler((20, 30), max_zoom=2.0).source_px,
                takes_views=True,
                boxes_from="json:boxes",
                takes_deep=True,
            ),
        ),
        (
            SaliencySampler(20, saliency=BoxSaliency()),
            ZoomNeeds(
                name="SaliencySampler",
                lowres_size=(128, 128),
                source_px=(200, 200),
                takes_views=True,
                boxes_from=None,
                takes_deep=True,
            ),
        ),
        (
            PatchSampler(2, 8),
            ZoomNeeds(
                name="PatchSampler",
                lowres_size=(256, 256),
                source_px=None,
                takes_views=False,
                boxes_from=None,
                takes_deep=True,
            ),
        ),
    ],
)
def test_what_is_read(zoom, needs):
    """The needs of a user's module and of Foveal's modules are found."""
    assert ZoomNeeds.of(zoom) == needs


@pytest.mark.parametrize("zoom", [UniformSampler(8), MixedResolution(2, refined=1), PatchSampler(1, 8)])
def test_it_reads_what_the_module_has(zoom):
    """source_px is read from any sampler that has it."""
    needs = ZoomNeeds.of(zoom)

    assert (needs.lowres_size, needs.source_px) == (zoom.lowres_size, zoom.source_px)


def test_a_wrapper_is_looked_through():
    """For a wrapper, the arguments of the innermost module count."""
    zoom = PatchSampler(1, 8, score=SpectralSaliency())
    compiled = nn.DataParallel(torch.compile(zoom, backend="eager"))

    assert ZoomNeeds.of(compiled) == ZoomNeeds.of(zoom)
    assert not ZoomNeeds.of(compiled).takes_views


@pytest.mark.parametrize("saliency", [BoxSaliency("json:boxes"), MapSaliency("attention.npy")])
@pytest.mark.parametrize("wrap", [AveragedModel, checkpoint_wrapper])
def test_what_the_module_in_an_average_or_a_checkpoint_needs(wrap, saliency):
    """Boxes, maps and a decoder's size are those of the zoom inside."""
    zoom = SaliencySampler(8, saliency=PriorSaliency(prior=saliency))

    assert ZoomNeeds.of(wrap(zoom)) == ZoomNeeds.of(zoom)


@pytest.mark.parametrize("size", [(8,), 8, "ab", (3, None)])
def test_a_size_that_is_none(size):
    """An invalid size is refused with the module's name, before anything is decoded."""
    zoom = Own()
    zoom.lowres_size = size
    message = f"zoom.lowres_size must be (height, width) in pixels or None, got {size!r} for Own."

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ZoomNeeds.of(zoom)


def test_what_is_no_module():
    """Anything but a module is refused."""
    message = "zoom must be a sampler module, got 224 – for example SaliencySampler(224)."

    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        ZoomNeeds.of(224)
