"""Saliency that comes with each image, as a map of any size."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foveal.sampler import (
    MapChannelSaliency,
    MapSaliency,
    SaliencyNet,
    SaliencySampler,
    UniformSampler,
    ZoomNeeds,
    compose,
)
from tests import reference
from tests.checks import check_close, unhooked

IMAGE = torch.zeros(2, 3, 8, 8)
SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


class Fourth(nn.Module):
    """Saliency that is the fourth channel."""

    def forward(self, seen):
        return 3 * seen[:, 3:]


def blob(rows, cols, x, y, spread=0.06):
    """Return cells that tile the image, brightest at (x, y), given as shares of its sides."""
    across = np.exp(-0.5 * (((np.arange(cols) + 0.5) / cols - x) / spread) ** 2)
    down = np.exp(-0.5 * (((np.arange(rows) + 0.5) / rows - y) / spread) ** 2)
    return torch.from_numpy(np.outer(down, across)).float()


def some_map(size, seed):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed)) + 0.05


@pytest.mark.parametrize("size", [(24, 24), (31, 40), (300, 200)])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.3, 0.7), (0.71, 0.22)])
def test_the_zoom_is_where_the_map_is(size, place):
    """The saliency's centroid is the map's, to 0.2 % of the sides, for any map size."""
    saliency = SaliencySampler(16, saliency=MapSaliency())(IMAGE, maps=[blob(*size, *place)] * 2).saliency[
        0, 0
    ]
    node = torch.linspace(0, 1, 31)

    check_close((saliency.sum(0) * node).sum(), place[0], 2e-3)
    check_close((saliency.sum(1) * node).sum(), place[1], 2e-3)


@settings(max_examples=30, deadline=None)
@given(SIZES, st.tuples(st.integers(2, 33), st.integers(2, 33)), st.integers(0, 99))
def test_means_about_nodes(size, nodes, seed):
    """Each node has the mean of the map, linear between cell centres, with triangular weights, as by an oracle."""
    given_map = some_map(size, seed)
    found = MapSaliency(map_size=nodes)(IMAGE[:1], maps=seen([given_map], nodes)).exp()[0, 0]
    expected = by_triangles(given_map.double().numpy(), nodes)

    check_close(found / found.sum(), expected / expected.sum(), 0.15 * expected.max() / expected.sum())


def seen(maps, nodes):
    from foveal.sampler.saliency import maps_in_views

    return maps_in_views(maps, None, nodes)


def by_triangles(cells, nodes):
    """Return at each node the mean of 200 positions, mirrored at the edges, with triangular weights as wide as nodes are apart."""
    for axis, count in enumerate(nodes):
        length = cells.shape[axis]
        off = (np.arange(200) + 0.5) / 100 - 1
        about = np.linspace(0, 1, count)[:, None] + off / (count - 1)
        about = 1 - np.abs(1 - np.abs(about))
        centre = (np.arange(length) + 0.5) / length
        read = lambda line, at=about, there=centre, o=off: np.average(  # noqa: E731
            np.interp(at, there, line), axis=1, weights=1 - np.abs(o)
        )
        cells = np.apply_along_axis(read, axis, cells)
    return cells


@pytest.mark.parametrize("views", [None, torch.tensor([[0.5, 0.1, 0.2], [0, 0.7, -0.1]]).repeat(3, 1, 1)])
@pytest.mark.parametrize(
    "saliency", [MapSaliency(), MapSaliency(map_size=(5, 60)), MapChannelSaliency(network=Fourth())]
)
def test_a_map_does_not_depend_on_its_neighbours(saliency, views):
    """Each image's zoom is the same, to rounding, in a batch with maps of other sizes."""
    maps = [some_map(size, seed) for seed, size in enumerate([(24, 24), (300, 200), (1, 140)])]
    zoom, images = SaliencySampler(16, saliency=saliency), torch.rand(3, 3, 100, 90)
    together = zoom(images, views=views, maps=maps)

    for k, each in enumerate(maps):
        view = None if views is None else views[k : k + 1]
        alone = zoom(images[k : k + 1], views=view, maps=[each])
        check_close(alone.saliency[0], together.saliency[k], 1e-7)
        check_close(alone.grid[0], together.grid[k], 1e-5)


@settings(max_examples=20, deadline=None)
@given(SIZES, st.integers(0, 99), st.floats(1e-20, 1e20))
def test_scale_does_not_matter_and_a_mirrored_map_zooms_mirrored(size, seed, scale):
    """The scale of a map does not matter, and a mirrored map gives the mirrored saliency."""
    given_map, zoom = some_map(size, seed), SaliencySampler((9, 12), saliency=MapSaliency())
    grid = zoom(IMAGE, maps=[given_map, given_map * scale]).grid
    mirrored = zoom(IMAGE, maps=[given_map.flip(1), given_map.flip(0)]).grid

    check_close(grid[1], grid[0], 1e-5)
    check_close(mirrored[0], grid[0].flip(1) * torch.tensor([-1, 1]), 1e-5)
    check_close(mirrored[1], grid[0].flip(0) * torch.tensor([1, -1]), 1e-5)


def test_maps_go_with_the_view():
    """For a flipped view of the left half, the map is that of the flipped half image."""
    given_map = blob(40, 60, 0.3, 0.6) + 0.1
    view = torch.tensor([[-0.5, 0, -0.5], [0, 1, 0]]).repeat(2, 1, 1)
    zoom = SaliencySampler(12, saliency=MapSaliency())
    ours = zoom(IMAGE, views=view, maps=[given_map] * 2)
    by_hand = zoom(IMAGE, maps=[given_map[:, :30].flip(1)] * 2)

    check_close(ours.saliency / by_hand.saliency, torch.ones(2, 1, 31, 31), 0.03)
    check_close(ours.grid, compose(view, by_hand.grid), 5e-3)
    assert (ours.grid - zoom(IMAGE, maps=[given_map] * 2).grid).abs().max() > 0.1


def test_a_map_without_weight_is_no_zoom():
    """A map of zeros gives no zoom; a floor spreads its share evenly."""
    zoom = SaliencySampler((9, 7), saliency=MapSaliency())
    spot = torch.zeros(50, 50)
    spot[25, 25] = 1
    zoomed = zoom(IMAGE, maps=[torch.zeros(5, 6), torch.ones(1, 1)])
    floored = MapSaliency(floor=0.3)(IMAGE[:1], maps=seen([spot], (31, 31))).exp()

    check_close(zoomed.grid, UniformSampler((9, 7))(IMAGE).grid, 1e-5)
    check_close(floored[0, 0, 0, 0] * 31**2, 0.3, 1e-5)
    check_close(floored.sum(), 1, 1e-5)


TYPES = (
    torch.bool,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.int8,
    torch.int64,
    torch.float16,
    torch.float64,
)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("module", [MapSaliency, MapChannelSaliency])
def test_maps_of_any_number_type(dtype, module):
    """A map counts as the same numbers in floating point, such as a depth map of 16 bits."""
    zoom = SaliencySampler(8, saliency=module())
    given_map = some_map((5, 6), 0).mul(100).round().to(dtype)

    check_close(
        zoom(IMAGE[:1], maps=[given_map]).saliency, zoom(IMAGE[:1], maps=[given_map.float()]).saliency, 1e-6
    )


def test_gradients_reach_the_map():
    """A map from another network has a gradient."""
    given_map = some_map((24, 24), 0).requires_grad_()
    zoom = SaliencySampler(8, saliency=MapSaliency())
    picture = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    zoom(picture, maps=[given_map]).images.square().sum().backward()

    assert bool(given_map.grad.isfinite().all())
    assert given_map.grad.abs().sum() > 0


def test_where_maps_come_from():
    """The sampler tells a loader which map its saliency module needs."""
    assert (
        ZoomNeeds.of(SaliencySampler(8, saliency=MapSaliency("attention.npy"))).maps_from == "attention.npy"
    )
    assert SaliencySampler(8, saliency=MapSaliency()).maps_from is None
    assert ZoomNeeds.of(SaliencySampler(8)).maps_from is None


def test_pixels_are_those_of_the_map():
    """For a linear map, the pixels equal those with a fixed saliency given on the map's nodes."""
    ramp = torch.linspace(0.1, 1, 50)[None].expand(20, 50)
    grid = SaliencySampler((6, 30), saliency=MapSaliency(), family="cdf")(IMAGE[:1], maps=[ramp]).grid
    centres = (np.arange(50) + 0.5) / 50
    nodes = np.interp(np.linspace(0, 1, 31), centres, ramp[0].numpy())

    check_close(grid[0, 0, :, 0], reference.quantiles(nodes, 30), 5e-3)


@pytest.mark.parametrize(
    ("saliency", "maps", "message"),
    [
        (
            MapSaliency(),
            None,
            "maps must be a list of 2 tensors, one for each image, got None – call the sampler with maps=[...].",
        ),
        (MapSaliency(), [torch.ones(3, 3)], "maps must be a list of 2 tensors, one for each image, got 1"),
        (MapSaliency(), [torch.ones(3, 3), torch.ones(3)], "maps[1] must be (rows, cols), got shape (3,)."),
        (
            MapSaliency(),
            [torch.ones(3, 3), -torch.ones(3, 2)],
            "maps[1] must be finite and non-negative, got values from -1.0 to -1.0: apply a ReLU or a softmax first.",
        ),
        (SaliencyNet(), [torch.ones(3, 3)] * 2, "maps must be None for SaliencyNet, got 2 – use MapSaliency"),
    ],
)
def test_messages_about_maps(saliency, maps, message):
    """Each error names what was given."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        SaliencySampler(8, saliency=saliency)(IMAGE, maps=maps)


def test_messages():
    """Each error about an argument names it with its value."""
    with pytest.raises(ValueError, match=re.escape("floor must be in [0, 1), got 1.0.")):
        MapSaliency(floor=1.0)
    with pytest.raises(ValueError, match=re.escape("map_size must be at least (1, 1), got (0, 3).")):
        MapSaliency(map_size=(0, 3))
