"""The continuous map of a grid, and its inverse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import invert_grid, unwarp_points, warp_points, zoom_grid
from foveal.sampler.labels._inverse_map import plain_to_output, to_output
from foveal.sampler.labels._warp_map import plain_nodes, to_source, warp_nodes
from tests import reference
from tests.checks import check_close
from tests.strategies import any_grid, softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")


SOURCE = (3000, 4000)


def random_points(count, batch=2, seed=0, reach=1.0):
    generator = torch.Generator().manual_seed(seed)
    points = reach * (2 * torch.rand(batch, count, 2, dtype=torch.float64, generator=generator) - 1)
    return torch.cat(
        [points, reach * torch.tensor([[-1.0, -1], [1, -1], [-1, 1], [1, 1]]).expand(batch, 4, 2)], 1
    )


@settings(max_examples=30, deadline=None)
@given(any_grid(), st.integers(0, 99))
def test_the_map_is_the_one_described(grid, seed):
    """The map is bilinear between points, and beyond the outermost ones linear along each axis."""
    height, width = grid.shape[1:3]
    points = (random_points(30, seed=seed, reach=1.5) + 1) / 2 * torch.tensor([width, height])
    found = to_source(warp_nodes(grid), points)

    for one, at, expected_grid in zip(found, points.numpy(), grid.numpy(), strict=True):
        check_close(one, reference.source_of(expected_grid, at[:, 0], at[:, 1]), 1e-12)


@settings(max_examples=30, deadline=None)
@given(any_grid())
def test_pixel_centres_are_the_grid(grid):
    """At (j + 0.5, i + 0.5) the map equals the grid."""
    height, width = grid.shape[1:3]
    i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = (torch.stack([j, i], dim=-1) + 0.5).view(1, -1, 2).expand(2, -1, 2)

    check_close(to_source(warp_nodes(grid), centres), grid.flatten(1, 2), 1e-14)


@pytest.mark.parametrize(("dtype", "pixels"), [(torch.float64, 1e-3), (torch.float32, 0.05)])
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_there_and_back(dtype, pixels, data):
    """Any point of a 12 MP image comes back to its place, whatever the grid, also with folded cells."""
    grid = data.draw(any_grid(dtype))
    points = (
        (random_points(100, seed=data.draw(st.integers(0, 99))).to(dtype) + 1)
        / 2
        * torch.tensor([SOURCE[1], SOURCE[0]])
    )
    there = warp_points(list(points), grid, SOURCE)
    back = unwarp_points(there, grid, SOURCE)

    assert {t.dtype for t in there + back} == {dtype}
    check_close(torch.stack(back), points, pixels)


@pytest.mark.parametrize("family", ["kernel", "separable", "cdf"])
@pytest.mark.parametrize(("dtype", "pixels"), [(torch.float64, 1e-3), (torch.float32, 0.05)])
def test_there_and_back_at_full_size(family, dtype, pixels):
    """So does any point at 224 pixels with a map of 31 x 31, also on nodes of the map and points of the grid."""
    saliency = softmax_map(31, 31, contrast=6.0).to(dtype)
    grid = zoom_grid(saliency, (224, 200), family=family)
    lattice = torch.cartesian_prod(torch.linspace(0, 4000, 31), torch.linspace(0, 3000, 31)).to(dtype)
    own = [(g.flatten(0, 1)[::7] + 1) / 2 * torch.tensor([4000, 3000], dtype=dtype) for g in grid]
    points = [torch.cat([lattice, each]) for each in own]
    back = unwarp_points(warp_points(points, grid, SOURCE), grid, SOURCE)

    for one, expected in zip(back, points, strict=True):
        check_close(one, expected, pixels)


@settings(max_examples=30, deadline=None)
@given(any_grid(), st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_inverse_grid_lands_on_the_lattice(grid, size):
    """Each entry of the inverse grid, sent through the oracle's map, is its own pixel's centre."""
    height, width = grid.shape[1:3]
    for one, back in zip(grid.numpy(), invert_grid(grid, size).numpy(), strict=True):
        x, y = (back[..., 0].ravel() + 1) / 2 * width, (back[..., 1].ravel() + 1) / 2 * height
        expected = np.stack(
            np.meshgrid(reference.pixel_centres(size[1]), reference.pixel_centres(size[0])), axis=-1
        )

        check_close(reference.source_of(one, x, y), expected.reshape(-1, 2), 1e-8)


@pytest.mark.parametrize("family", ["separable", "cdf"])
def test_separable_inverse_is_one_interpolation_per_axis(family):
    """The inverse of a separable grid equals numpy.interp and the general solution."""
    grid = zoom_grid(softmax_map(31, 31), (60, 80), family=family)
    back = invert_grid(grid, (45, 70))
    x = np.interp(reference.pixel_centres(70), grid[0, 0, :, 0], reference.pixel_centres(80))
    y = np.interp(reference.pixel_centres(45), grid[0, :, 0, 1], reference.pixel_centres(60))
    inside = np.abs(np.stack(np.meshgrid(x, y), axis=-1)) < 0.9
    almost = grid.clone()
    almost[0, 30, 40] += 1e-13  # no longer separable

    check_close(back[0].numpy()[inside], np.stack(np.meshgrid(x, y), axis=-1)[inside], 1e-12)
    check_close(invert_grid(almost, (45, 70)), back, 1e-9)


def test_identity_is_its_own_inverse():
    """Without a zoom every pixel stays in its place, for any two sizes."""
    identity = zoom_grid(torch.ones(1, 1, 31, 31, dtype=torch.float64), (48, 64))

    check_close(invert_grid(identity, (48, 64)), identity, 1e-12)
    check_close(
        invert_grid(identity, (30, 7)),
        zoom_grid(torch.ones(1, 1, 31, 31, dtype=torch.float64), (30, 7)),
        1e-12,
    )


def test_a_grid_without_area_is_survived():
    """For a grid whose points are all equal or on a line, results are finite."""
    point, line = torch.full((1, 5, 7, 2), 0.25), torch.full((1, 5, 7, 2), 0.25)
    line[..., 0] = torch.linspace(-1, 1, 7)
    for grid in (point, line):
        nodes, targets = warp_nodes(grid), random_points(50, batch=1)
        found = to_output(nodes, targets[..., 0], targets[..., 1:])[:, :, 0]

        assert bool(found.isfinite().all())
        check_close(to_source(nodes, found), targets, 1e-8)


@pytest.mark.parametrize(
    "nodes_of", [warp_nodes, lambda grid: plain_nodes(grid, torch.full((1, 2), 1e-6, dtype=torch.float64))]
)
def test_a_grid_has_turned_over_if_most_cells_have(nodes_of):
    """Kernel and plain torch alike refuse a grid of which more than three quarters of the cells are mirrored."""
    with pytest.raises(ValueError, match="grid must not turn over, got 608 of 800 cells mirrored"):
        nodes_of(partly_mirrored(76))
    assert nodes_of(partly_mirrored(75)).isfinite().all()


def partly_mirrored(columns):
    """Return a grid of 8 x 100 cells with x = u + v, and y = v + h(u), so that cells are mirrored where h rises by more than 1."""
    u, v = zoom_grid(torch.ones(1, 1, 3, 3, dtype=torch.float64), (9, 101)).unbind(dim=-1)
    rises = torch.full((101,), 0.5, dtype=torch.float64)
    rises[1 : columns + 1] = 1.5
    return torch.stack([u + v, v + (rises * 2 / 101).cumsum(0)], dim=-1)


@pytest.mark.parametrize(("size", "points"), [((8, 8), 2), ((2, 2), 2)])
def test_saliency_at_two_points_turns_over_no_grid(size, points):
    """A zoom on two points is followed, although many of its cells are mirrored, and all of four pixels."""
    generator = torch.Generator().manual_seed(0)
    saliency = torch.zeros(500, 1, 7, 4).flatten(1)
    places = torch.rand(500, 28, generator=generator).topk(points, dim=1).indices
    saliency.scatter_(1, places, torch.rand(500, points, generator=generator))
    grid = zoom_grid(saliency.view(500, 1, 7, 4), size, padding="replicate")

    assert warp_nodes(grid).isfinite().all()


@settings(max_examples=30, deadline=None)
@given(any_grid(), st.integers(0, 99))
def test_the_kernels_find_what_plain_torch_does(grid, seed):
    """Nodes are bit-identical to plain torch's; places on lines of several points are as near as the equation allows."""
    nodes = warp_nodes(grid)
    rng = torch.Generator().manual_seed(seed)
    x, y = (2.4 * torch.rand(2, *shape, generator=rng).double() - 1.2 for shape in ((17,), (17, 5)))
    places = to_output(nodes, x, y)

    assert torch.equal(nodes, plain_nodes(grid, torch.full((2, 2), 1e-6).double()))
    expected = torch.stack([x[..., None].expand(y.shape), y], dim=-1).flatten(1, 2)
    for found in (places, plain_to_output(nodes, x, y)):
        check_close(to_source(nodes, found.flatten(1, 2)), expected, 1e-8)


def test_a_point_that_is_no_number_ends_the_search():
    """A NaN or infinite point does not affect other points."""
    nodes = warp_nodes(zoom_grid(softmax_map(9, 9), (12, 15)))
    x = torch.tensor([[0.1, torch.nan, torch.inf, -torch.inf, 0.2]]).double()
    y = torch.tensor([[[0.3, torch.nan, torch.inf, -torch.inf]]]).double().expand(1, 5, 4)
    found = to_output(nodes, x, y)

    assert found.shape == (1, 5, 4, 2)
    check_close(found[:, ::4, 0], plain_to_output(nodes, x, y)[:, ::4, 0], 1e-9)
