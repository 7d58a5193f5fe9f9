"""All saliency modules use one frame: an object is found in its place, and a mirrored image is zoomed mirrored."""

import copy
import re

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import (
    BoxSaliency,
    FixedSaliency,
    MixedResolution,
    NJetConv2d,
    NJetSaliencyNet,
    PatchSampler,
    ResNet18Saliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    SpectralSaliency,
    saliency_mask,
)
from tests.checks import check_close, unhooked
from tests.strategies import FAMILIES

pytestmark = pytest.mark.usefixtures("one_thread")

FRAMED = [SaliencyNet, NJetSaliencyNet, ResNet18Saliency]  # earlier versions had these, in another frame
NETWORKS = [*FRAMED, SaliencyUNet]
PLACES = (0.07, 0.1, 0.25, 0.4, 0.5, 0.63, 0.75, 0.9, 0.93)


def dot(x, y=0.5, side=128):
    """Return an image with a small bright dot, at a position given as a share of the sides."""
    at_y, at_x = torch.meshgrid(*2 * [(torch.arange(side) + 0.5) / side], indexing="ij")
    bright = torch.exp(-((at_x - x) ** 2 + (at_y - y) ** 2) / (2 * 0.02**2))
    return (0.4 + torch.tensor([0.5, -0.2, -0.2])[:, None, None] * bright)[None]


def peak(line):
    """Return the position of a line's peak as a share of its length: the vertex of the parabola around the largest value."""
    at = int(line.argmax())
    left, middle, right = np.log(line[at - 1 : at + 2])
    return (at + (left - right) / (2 * (left - 2 * middle + right))) / (len(line) - 1)


def mirrored(network):
    """Return the network with mirrored kernels."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.flip(-1)
        elif isinstance(module, NJetConv2d):  # odd derivatives along x change their sign
            module.alpha.data *= torch.tensor([(-1.0) ** across for _, across in module.jet.orders])
    return network


def seeded(network, *arguments, **options):
    torch.manual_seed(0)
    return network(*arguments, **options).eval()


def noise(height=64, width=96, dtype=torch.float64):
    """Return a random image in which something stands out."""
    draw = torch.Generator().manual_seed(0)
    image = 0.4 + 0.05 * torch.randn(1, 3, height, width, generator=draw, dtype=dtype)
    image[:, :, height // 4 : height // 3, width // 8 : width // 5] += 0.3
    return image.clamp(0, 1)


@pytest.mark.parametrize("map_size", [(31, 31), (61, 45), (24, 40)])
@pytest.mark.parametrize("x", PLACES)
def test_a_dot_is_found_where_it_is(x, map_size):
    """Spectral saliency peaks at the dot, to 0.2 % of the width, for any map size."""
    found = SpectralSaliency(map_size)(dot(x, y=1 - x)).exp()[0, 0].numpy()

    assert abs(peak(found.sum(0)) - x) < 0.002
    assert abs(peak(found.sum(1)) - (1 - x)) < 0.002


def test_earlier_frames_would_not_pass():
    """The check above notices a shift by half a cell."""
    found = SpectralSaliency(frame="cells")(dot(0.9)).exp()[0, 0].numpy()

    assert abs(peak(found.sum(0)) - 0.9) > 0.008


@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_a_network_has_no_side(network):
    """Averaged over a dot and its mirror image, and a network and its mirror image, the peak is at the dot."""
    net = seeded(network)
    if network is SaliencyNet:
        net = seeded(network, contrast=0.03)
    even = torch.full((1, 3, 128, 128), 0.4)
    for x in PLACES:
        found = sum(
            (each(dot(x)) - each(even))[0, 0].abs().sum(0)
            + (each(dot(1 - x)) - each(even))[0, 0].abs().sum(0).flip(0)
            for each in (net, mirrored(net))
        ).numpy()
        other = sum(
            (each(dot(1 - x)) - each(even))[0, 0].abs().sum(0)
            + (each(dot(x)) - each(even))[0, 0].abs().sum(0).flip(0)
            for each in (net, mirrored(net))
        ).numpy()
        check_close(found, other[::-1].copy(), 1e-5)


@pytest.mark.parametrize("side", [128, 100, 67])
@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_the_mirrored_network_finds_the_mirrored_map(network, side):
    """A mirrored network on a mirrored image gives the mirrored map, to rounding, for any size."""
    net = seeded(network, (9, 14)).double()
    image = noise(side, side)

    check_close(mirrored(net)(image.flip(3)).flip(3), net(image), 1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "saliency",
    [SpectralSaliency, lambda: BoxSaliency(map_size=(9, 14)), lambda: seeded(SaliencyNet, contrast=0.03)],
)
@torch.no_grad()
def test_a_mirrored_image_is_zoomed_mirrored(saliency, family):
    """Pixels and grid of a mirrored image are mirrored, to 1e-5, in both directions."""
    net, image = saliency(), noise()
    boxes = torch.tensor([[0.1, 0.2, 0.2, 0.4], [0.5, 0.6, 0.9, 0.7]], dtype=torch.float64)
    flipped = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], dim=1)
    told = {"boxes": [boxes]} if isinstance(net, BoxSaliency) else {}
    told_flipped = {"boxes": [flipped]} if isinstance(net, BoxSaliency) else {}
    settings = {"family": family, "temperature": 0.5, "lowres_size": (64, 96), "max_zoom": 4.0}
    zoomed = SaliencySampler((33, 50), saliency=net.double(), **settings)(image, **told)
    other = SaliencySampler((33, 50), saliency=mirrored(net), **settings)(image.flip(3), **told_flipped)

    check_close(other.images.flip(3), zoomed.images, 1e-5)
    check_close(other.grid.flip(2) * torch.tensor([-1.0, 1.0]), zoomed.grid, 1e-5)
    assert (zoomed.grid - zoomed.grid.flip(2) * torch.tensor([-1.0, 1.0])).abs().max() > 0.01


@torch.no_grad()
def test_tokens_and_masks_are_mirrored_as_the_image_is():
    """For a mirrored image, the mirrored cells are refined."""
    image = noise()
    zoom = MixedResolution((4, 6), patch_size=2, refined=5, lowres_size=(64, 96))
    here, there = (zoom(each).grid[0, 24:].mean((1, 2)) for each in (image, image.flip(3)))
    mirror = there * torch.tensor([-1.0, 1.0])
    assert torch.cdist(here, mirror).min(1).values.max() < 1e-6

    map_ = SpectralSaliency()(image).exp()
    mask = saliency_mask(map_, (16, 24), keep=0.3)
    assert torch.equal(saliency_mask(map_.flip(3), (16, 24), keep=0.3).flip(3), mask)


def test_tokens_are_fine_where_the_dot_is():
    """The cell that contains the dot is refined."""
    zoom = MixedResolution(8, patch_size=2, refined=1)
    for row in range(8):
        x = (row + 0.5) / 8
        [grid] = zoom(dot(x, y=1 - x)).grid
        assert torch.allclose(grid[64:].mean((0, 1, 2)), torch.tensor([2 * x - 1, 1 - 2 * x]), atol=1e-6), row


def test_patches_are_cut_where_the_dot_is():
    """The patch is at the dot, whether scores are on nodes or in cells."""
    for frame in ("nodes", "cells"):
        sampler = PatchSampler(1, 16, score=SpectralSaliency((16, 16), frame=frame)).eval()
        for x in (0.21, 0.5, 0.83):
            middle = sampler(dot(x, y=1 - x, side=256)).grid.mean((1, 2, 3))[0]
            assert (middle - torch.tensor([2 * x - 1, 1 - 2 * x])).abs().max() < 2 * 0.75 / 15, (frame, x)


@pytest.mark.parametrize("network", [*FRAMED, SpectralSaliency])
def test_weights_bring_their_frame(network, tmp_path):
    """Saved weights restore the frame they were trained in, alone or as a part of a sampler, for both frames."""
    small = torch.rand(1, 3, 64, 64)
    for frame, other in (("cells", "nodes"), ("nodes", "cells")):
        net = seeded(network, frame=frame)
        torch.save(net.state_dict(), tmp_path / "net.pt")
        torch.save(SaliencySampler(8, saliency=net).state_dict(), tmp_path / "zoom.pt")
        alone, part = network(frame=other).eval(), SaliencySampler(8, saliency=network(frame=other)).eval()
        alone.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
        part.load_state_dict(torch.load(tmp_path / "zoom.pt", weights_only=True))

        assert (alone.frame, part.saliency.frame) == (frame, frame)
        with torch.no_grad():
            assert torch.equal(alone(small), net(small))
            assert torch.equal(part.saliency(small), net(small))
        assert alone.state_dict()._metadata == net.state_dict()._metadata


def test_an_optimiser_goes_on_with_the_weights_of_an_earlier_frame():
    """Weights of an earlier frame are loaded into the parameters that the optimiser has."""
    net = SaliencyNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    net.load_state_dict(SaliencyNet(frame="cells").state_dict())
    before = copy.deepcopy(net.state_dict())
    net(torch.rand(1, 3, 64, 64))[0, 0, 2, 3].backward()
    optimizer.step()

    moved = [name for name, weight in net.state_dict().items() if not torch.equal(weight, before[name])]
    assert "stem.0.0.weight" in moved
    assert len(moved) == len(list(net.parameters()))


def test_a_plain_dict_leaves_the_frame():
    """A plain dict of weights does not change the frame."""
    weights = dict(NJetSaliencyNet(frame="cells").state_dict())
    net = NJetSaliencyNet()
    net.load_state_dict(weights)

    assert net.frame == "nodes"


def test_no_frame():
    """An unknown frame is refused with its value."""
    with (
        unhooked(),
        pytest.raises(ValueError, match=re.escape("frame must be one of ('cells', 'nodes'), got 'edges'.")),
    ):
        SpectralSaliency(frame="edges")


def test_a_fixed_map_is_read_on_nodes():
    """A fixed map that is given on nodes is used as zoom_grid uses it."""
    weights = torch.rand(3, 5)

    check_close(FixedSaliency(weights)(torch.zeros(1, 3, 8, 8)).exp()[0, 0], weights / weights.sum(), 1e-6)
