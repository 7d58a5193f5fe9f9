"""Bounds on magnification and on shrinking."""

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import zoom_grid
from foveal.sampler.grids._jacobian import _examined_indices, most_kept, places_to_examine
from foveal.sampler.grids._kept import Bounds, kept_of
from foveal.sampler.grids._tightest import plain_tightest, tightest
from tests import reference
from tests.checks import (
    border_gaps,
    check_bounds,
    check_close,
    check_grid,
    singular_values,
    uniform_steps,
)
from tests.strategies import FAMILIES, PADDINGS, any_saliency, bump, softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(
    any_saliency(torch.float64, batch=1),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from(PADDINGS),
    st.tuples(st.floats(1, 20) | st.none(), st.floats(0.02, 1) | st.none()),
)
def test_both_bounds_hold_and_no_more(family, saliency, size, padding, bounds):
    """No place exceeds a bound in any direction, a bound that acts is reached, and a grid within the bounds is unchanged."""
    max_zoom, min_zoom = bounds
    free = zoom_grid(saliency, size, family=family, padding=padding)
    grid = zoom_grid(saliency, size, family=family, padding=padding, max_zoom=max_zoom, min_zoom=min_zoom)
    steps, gaps = torch.cat([uniform_steps(grid), singular_values(grid)], 1), border_gaps(grid)
    shortest, longest = (
        steps.amin().item() if steps.numel() else 1.0,
        torch.cat([steps, gaps], 1).amax().item(),
    )

    check_bounds(grid, max_zoom, min_zoom, 1e-9)
    check_grid(grid)
    assert (
        torch.equal(grid, free)
        or (max_zoom is not None and shortest == pytest.approx(1 / max_zoom, abs=1e-9))
        or (min_zoom is not None and longest == pytest.approx(1 / min_zoom, abs=1e-9))
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("max_zoom", [1.0, 1.5, 3.0, 8.0])
def test_max_zoom_in_float32(family, max_zoom):
    """The shortest step is 1 / max_zoom of a uniform one if the bound acts; otherwise the grid is unchanged."""
    saliency = torch.cat([bump(20, cells=1.0), torch.ones(1, 1, 31, 31)])
    size = (48, 64)
    grid = zoom_grid(saliency, size, family=family, max_zoom=max_zoom)

    least = torch.cat([uniform_steps(grid), singular_values(grid)], dim=1).amin(dim=1)
    check_close(least, [1 / max_zoom, 1], 1e-4)
    check_close(grid[1:], zoom_grid(saliency[1:], size, family=family), 1e-6)
    check_grid(grid)


@pytest.mark.parametrize("min_zoom", [0.2, 0.5, 1.0])
def test_min_zoom_keeps_the_border(min_zoom):
    """With min_zoom, the outermost points stay near the image's edges, although "replicate" padding crops."""
    saliency = bump(12)
    free = zoom_grid(saliency, (48, 64), fwhm_cells=13.0, padding="replicate")
    grid = zoom_grid(saliency, (48, 64), fwhm_cells=13.0, padding="replicate", min_zoom=min_zoom)

    assert border_gaps(free).max() > 20
    check_close(border_gaps(grid).max(), 1 / min_zoom, 1e-4)
    check_bounds(grid, None, min_zoom, 1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bound_that_does_not_act_changes_nothing(family):
    """A grid well within the bounds is bit-identical."""
    saliency = softmax_map(31, 31, contrast=0.2)
    free = zoom_grid(saliency, (20, 30), family=family)

    assert torch.equal(zoom_grid(saliency, (20, 30), family=family, max_zoom=50.0, min_zoom=0.01), free)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_pixel_of_output(family, size):
    """Outputs of one row, column or pixel have no steps to bound, but gaps at the border."""
    grid = zoom_grid(softmax_map(31, 31), size, family=family, max_zoom=2.0, min_zoom=0.9)

    check_grid(grid)
    check_bounds(grid, 2.0, 0.9, 1e-9)


@pytest.mark.parametrize(
    ("family", "padding"),
    [("kernel", "reflect"), ("kernel", "replicate"), ("separable", "reflect"), ("cdf", "reflect")],
)
@pytest.mark.parametrize(("max_zoom", "min_zoom"), [(None, None), (1.3, None), (None, 0.8), (1.3, 0.8)])
def test_gradcheck(family, padding, max_zoom, min_zoom):
    """T3: analytic and numeric derivatives agree, within the bounds and on them."""
    saliency = softmax_map(4, 5, batch=2).requires_grad_()

    def zoom(weights):
        return zoom_grid(
            weights,
            (6, 7),
            family=family,
            padding=padding,
            fwhm_cells=3.0,
            max_zoom=max_zoom,
            min_zoom=min_zoom,
        )

    assert torch.autograd.gradcheck(zoom, saliency)


def ridge():
    i, j = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    return torch.exp(-((i - j) ** 2) / 2).double()[None, None] + 0.005


@pytest.mark.parametrize("bound", ["blend", "local"])
@pytest.mark.parametrize("size", [(60, 60), (40, 90)])
def test_a_diagonal_ridge_is_not_magnified_further_across(size, bound):
    """A diagonal ridge is bounded across, and so is what lies between two diagonal objects; bounds along the axes would not do it."""
    i, j = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    two = sum(torch.exp(-((i - 15 - s) ** 2 + (j - 15 - s) ** 2) / 8) for s in (-8, 8)).double() + 1e-3

    check_bounds(zoom_grid(ridge(), size, max_zoom=2.0, bound=bound), 2.0, None, 1e-9)
    check_bounds(zoom_grid(two[None, None], size, min_zoom=0.5, bound=bound), None, 0.5, 1e-9)
    assert singular_values(zoom_grid(ridge(), size, max_zoom=2.0, bound="axes")).min() < 1 / 4
    assert singular_values(zoom_grid(two[None, None], size, min_zoom=0.5, bound="axes")).max() > 3


@settings(max_examples=60, deadline=None)
@given(any_saliency(torch.float64, batch=2), st.tuples(st.integers(2, 80), st.integers(2, 80)))
def test_the_places_that_are_looked_at_tell_all(saliency, size):
    """The extremes over all cells are among the examined ones, for any resolution of nodes and output."""
    grid = zoom_grid(saliency, size)
    values = torch.cat([uniform_steps(grid), singular_values(grid)], dim=1)
    nodes = tuple(max(side, 2) for side in saliency.shape[2:])
    _, cells = places_to_examine(nodes, size, grid.dtype, grid.device)
    rows, cols = map(_examined_indices, nodes, size)
    identity = zoom_grid(torch.ones(1, 1, 2, 2, dtype=torch.float64), size)
    for shortest, longest in ((0.4, None), (None, 1.6)):
        kept = most_kept(grid[:, rows][:, :, cols], cells, size, Bounds(shortest, longest))
        blend = identity + kept[:, None, None, None] * (grid - identity)
        found = torch.cat([uniform_steps(blend), singular_values(blend)], dim=1)
        if shortest is not None:
            assert (found.amin(dim=1) >= shortest - 1e-9).all()
            assert ((kept == 1) == (values.amin(dim=1) >= shortest)).all()
        else:
            assert (found.amax(dim=1) <= longest + 1e-9).all()
            assert ((kept == 1) == (values.amax(dim=1) <= longest)).all()


@settings(max_examples=60, deadline=None)
@given(
    any_saliency(torch.float64, batch=2),
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
    st.tuples(st.none() | st.floats(0, 1), st.none() | st.floats(1, 50), st.booleans()),
)
def test_the_kernel_finds_a_place_as_tight_as_plain_torch_does(saliency, size, bounds):
    """The kernel finds a place as tight as plain torch's; among equally tight places it may be another."""
    grid, (height, width) = zoom_grid(saliency, size, fwhm_cells=3.0), size
    cells, scale = (torch.arange(height - 1), torch.arange(width - 1)), (width / 2, height / 2)
    found = [find(grid, cells, scale, Bounds(*bounds)) for find in (tightest, plain_tightest)]
    kept = []
    for corner, row, col in (place.unbind(dim=1) for place, _ in found):
        k = torch.arange(2)
        top, side = row + corner // 2, col + corner % 2
        across = (grid[k, top, col + 1] - grid[k, top, col]) * torch.tensor(scale)
        down = (grid[k, row + 1, side] - grid[k, row, side]) * torch.tensor(scale)
        kept.append(kept_of((*across.unbind(1), *down.unbind(1)), Bounds(*bounds)))

    assert torch.equal(kept[0].isinf(), kept[1].isinf())
    check_close(kept[0].clamp(max=1), kept[1].clamp(max=1), 1e-9)
    for (_, least), at_place in zip(found, kept, strict=True):
        check_close(least.clamp(max=1), at_place.clamp(max=1), 1e-12)


@pytest.mark.parametrize("bounds", [(1.3, None), (None, 0.8), (1.3, 0.8)])
def test_a_grid_does_not_depend_on_derivatives(bounds):
    """A bounded grid is the same whether its derivatives are wanted or not: without them the kernel finds what is kept."""
    saliency = softmax_map(31, 31, batch=3)
    max_zoom, min_zoom = bounds
    plain = zoom_grid(saliency, (40, 50), max_zoom=max_zoom, min_zoom=min_zoom)
    learned = zoom_grid(saliency.requires_grad_(), (40, 50), max_zoom=max_zoom, min_zoom=min_zoom)

    check_close(plain, learned, 1e-15)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(
    any_saliency(torch.float64, batch=2),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.sampled_from(PADDINGS), st.sampled_from(["sum", "max"])),
    st.tuples(st.floats(1, 20) | st.none(), st.floats(0.02, 1) | st.none()),
)
def test_the_local_bound_holds(family, saliency, size, choices, bounds):
    """The local bound holds for any map, the grid does not fold, and it is unchanged if no bound is exceeded."""
    max_zoom, min_zoom = bounds
    how = {"family": family, "padding": choices[0], "marginal": choices[1]}
    free = zoom_grid(saliency, size, **how)
    grid = zoom_grid(saliency, size, max_zoom=max_zoom, min_zoom=min_zoom, bound="local", **how)

    check_bounds(grid, max_zoom, min_zoom, 1e-9)
    check_grid(grid)
    for k in range(len(grid)):
        with contextlib.suppress(AssertionError):
            check_bounds(free[k : k + 1], max_zoom, min_zoom, 0)
            assert family == "kernel" or torch.equal(grid[k], free[k]), "changed without need"


def test_local_changes_nothing_within_the_bounds():
    """Grids within the bounds are bit-identical, for every family."""
    saliency = softmax_map(31, 31, contrast=0.2)
    for family in FAMILIES:
        free = zoom_grid(saliency, (20, 30), family=family)
        bounded = zoom_grid(saliency, (20, 30), family=family, max_zoom=50.0, min_zoom=0.01, bound="local")
        check_close(bounded, free, 1e-15)


@pytest.mark.parametrize("family", ["separable", "cdf"])
@pytest.mark.parametrize("padding", PADDINGS)
def test_densities_are_cut_and_the_rest_spread(family, padding):
    """Clipped densities equal those of an oracle, which finds the added number by bisection."""
    saliency = bump(9, row=7, col=22, cells=1.5).double()
    how = {"family": family, "padding": padding}
    free = zoom_grid(saliency, (30, 40), **how)[0, 0, :, 0].numpy()
    bounded = zoom_grid(saliency, (30, 40), max_zoom=2.5, min_zoom=0.5, bound="local", **how)
    expected = reference.capped_places(free, 0.5, 2.5)

    check_close(bounded[0, 0, :, 0], expected, 1e-9)
    assert np.abs(expected - free).max() > 0.02


def spots():
    """Return a map with a strong object, a much weaker one, and the rest."""
    i, j = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")

    def spot(row, col, height):
        return height * torch.exp(-((i - row) ** 2 + (j - col) ** 2) / (2 * 1.5**2))

    return (spot(10, 10, 60) + spot(22, 22, 8) + 1).double()[None, None]


def magnification(grid, row, col):
    """Return the magnification in area at a node of 31, as that of a length."""
    height, width = grid.shape[1:3]
    there = torch.tensor([col / 15 - 1, row / 15 - 1], dtype=grid.dtype)
    near = int((grid[0] - there).square().sum(dim=-1).argmin())
    at = grid[0, near // width - 1 : near // width + 2, near % width - 1 : near % width + 2]
    across, down = (at[1, 2] - at[1, 0]) * width / 4, (at[2, 1] - at[0, 1]) * height / 4
    return float(1 / (across[0] * down[1] - across[1] * down[0]).abs().sqrt())


@pytest.mark.parametrize(
    ("family", "marginal"), [("kernel", "sum"), ("separable", "sum"), ("separable", "max"), ("cdf", "sum")]
)
def test_a_second_object_keeps_its_zoom(family, marginal):
    """With the local bound, a weak object keeps its zoom beside a strong one; the blend reduces both."""
    how = {"family": family, "marginal": marginal}
    free = zoom_grid(spots(), (224, 224), **how)
    blend, local = (
        zoom_grid(spots(), (224, 224), max_zoom=2.0, bound=bound, **how) for bound in ("blend", "local")
    )
    lost = {
        name: magnification(free, 22, 22) - magnification(grid, 22, 22)
        for name, grid in (("blend", blend), ("local", local))
    }

    assert magnification(local, 10, 10) == pytest.approx(2, rel=0.01)
    assert lost["local"] < 0.85 * lost["blend"]
    assert family == "kernel" or lost["local"] < 0.01


def test_the_maximum_along_an_axis_shows_small_objects():
    """With marginal="max" an object of 1.5 cells on a bright ground is magnified; with "sum" it is not."""
    i, j = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    spot = (1 + 40 * torch.exp(-((i - 15) ** 2 + (j - 15) ** 2) / (2 * 1.5**2))).double()[None, None]
    by_sum, by_max = (
        magnification(zoom_grid(spot, (224, 224), family="cdf", marginal=marginal), 15, 15)
        for marginal in ("sum", "max")
    )

    assert by_max > 1.5 * by_sum > 3


@pytest.mark.parametrize("family", ["separable", "cdf"])
def test_marginals(family):
    """The grid of a marginal equals that of a map with one row, or one column, that is this marginal."""
    saliency = softmax_map(9, 14)
    by_col = zoom_grid(saliency.amax(dim=2, keepdim=True), (5, 20), family=family)
    by_row = zoom_grid(saliency.amax(dim=3, keepdim=True), (5, 20), family=family)
    grid = zoom_grid(saliency, (5, 20), family=family, marginal="max")

    check_close(grid[..., 0], by_col[..., 0], 1e-12)
    check_close(grid[..., 1], by_row[..., 1], 1e-12)


@pytest.mark.parametrize(
    ("family", "bound"), [("kernel", "axes"), ("kernel", "local"), ("separable", "local"), ("cdf", "local")]
)
@pytest.mark.parametrize(("max_zoom", "min_zoom"), [(1.3, None), (None, 0.8)])
def test_gradcheck_of_other_bounds(family, bound, max_zoom, min_zoom):
    """Derivatives through the clipping height, or through the number added to densities, are right."""
    saliency = softmax_map(3, 4).requires_grad_()

    def zoom(weights):
        return zoom_grid(
            weights,
            (4, 5),
            family=family,
            fwhm_cells=3.0,
            max_zoom=max_zoom,
            min_zoom=min_zoom,
            bound=bound,
            marginal="max",
        )

    assert torch.autograd.gradcheck(zoom, saliency, atol=1e-3 if family == "kernel" else 1e-5)


def few_cells(over, dtype):
    """Return two maps: one cell, and a block and two cells, all over one small value."""
    maps = torch.full((2, 1, 31, 31), over, dtype=dtype)
    maps[:, 0, 5, 7] = 1
    maps[1, 0, 20, 9], maps[1, 0, 10:13, 9:13] = 0.5, 0.25
    return maps


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("over", [0.0, 1e-40, 1e-37, 1e-20])
@pytest.mark.parametrize("bounds", [(3.0, None), (None, 0.5), (3.0, 0.5)])
@pytest.mark.parametrize("padding", PADDINGS)
def test_gradients_of_few_cells(family, over, bounds, padding):
    """With the local bound, the gradient is finite in float32 if almost all cells are zero, and the bounds hold."""
    saliency = few_cells(over, torch.float32).requires_grad_()
    how = {"family": family, "padding": padding, "max_zoom": bounds[0], "min_zoom": bounds[1]}
    grid = zoom_grid(saliency, (16, 16), bound="local", **how)
    grid.square().sum().backward()

    assert bool(saliency.grad.isfinite().all())
    check_bounds(grid.detach(), *bounds, 1e-4)


def test_a_few_cells_are_left_to_the_blend():
    """Cells over zeros, which no height keeps within the bounds, give the blended grid and its gradient, which is the difference quotient."""
    saliency = few_cells(0.0, torch.float64).requires_grad_()
    local, blend = (zoom_grid(saliency, (16, 16), max_zoom=3.0, bound=bound) for bound in ("local", "blend"))
    gradients = [torch.autograd.grad(grid.square().sum(), saliency)[0] for grid in (local, blend)]
    way = 1e-6 * (saliency.detach() > 0) * torch.randn(saliency.shape, dtype=torch.float64)
    ends = [
        zoom_grid(saliency.detach() + by, (16, 16), max_zoom=3.0, bound="local").square().sum()
        for by in (way, -way)
    ]

    check_close(local, blend, 1e-12)
    check_close(*gradients, 1e-9 * gradients[1].abs().max())
    assert (gradients[0] * way).sum().item() == pytest.approx((ends[0] - ends[1]).item() / 2, rel=1e-4)
