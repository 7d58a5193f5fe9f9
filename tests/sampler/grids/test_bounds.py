"""How far a zoom may magnify, and how far it may shrink."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import zoom_grid
from tests.checks import border_gaps, check_bounds, check_close, check_grid, uniform_steps
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
    """No local step passes either bound, one of them is met where they act, and nothing changes where they do not."""
    max_zoom, min_zoom = bounds
    free = zoom_grid(saliency, size, family=family, padding=padding)
    grid = zoom_grid(saliency, size, family=family, padding=padding, max_zoom=max_zoom, min_zoom=min_zoom)
    steps, gaps = uniform_steps(grid), border_gaps(grid)
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
    """The shortest step is 1 / max_zoom of a uniform one where the bound acts; elsewhere the grid stays as it was."""
    saliency = torch.cat([bump(20, cells=1.0), torch.ones(1, 1, 31, 31)])
    size = (48, 64)
    grid = zoom_grid(saliency, size, family=family, max_zoom=max_zoom)

    check_close(uniform_steps(grid).amin(dim=1), [1 / max_zoom, 1], 1e-4)
    check_close(grid[1:], zoom_grid(saliency[1:], size, family=family), 1e-6)
    check_grid(grid)


@pytest.mark.parametrize("min_zoom", [0.2, 0.5, 1.0])
def test_min_zoom_keeps_the_border(min_zoom):
    """The published padding crops; with a bound the outermost points are where the image's edges are in reach."""
    saliency = bump(12)
    free = zoom_grid(saliency, (48, 64), fwhm_cells=13.0, padding="replicate")
    grid = zoom_grid(saliency, (48, 64), fwhm_cells=13.0, padding="replicate", min_zoom=min_zoom)

    assert border_gaps(free).max() > 20
    check_close(border_gaps(grid).max(), 1 / min_zoom, 1e-4)
    check_bounds(grid, None, min_zoom, 1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bound_that_does_not_act_changes_nothing(family):
    """Zoom far inside the bounds comes out bit for bit."""
    saliency = softmax_map(31, 31, contrast=0.2)
    free = zoom_grid(saliency, (20, 30), family=family)

    assert torch.equal(zoom_grid(saliency, (20, 30), family=family, max_zoom=50.0, min_zoom=0.01), free)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_pixel_of_output(family, size):
    """Outputs of a single row, column or pixel have no step to bound, but borders."""
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


@pytest.mark.parametrize("family", ["separable", "cdf"])
def test_separable_steps_are_the_magnification(family):
    """On a separable grid the Jacobian is diagonal: its singular values are the steps, and the bounds hold for them."""
    saliency = bump(20, row=7, col=22, cells=1.0).double()
    grid = zoom_grid(saliency, (60, 60), family=family, max_zoom=4.0, min_zoom=0.6)
    scales = torch.linalg.svdvals(jacobians(grid))

    assert scales.min() >= 1 / 4.0 - 1e-9
    assert scales.max() <= 1 / 0.6 + 1e-9


def test_a_diagonal_ridge_is_magnified_further_across():
    """The kernel's Jacobian is not diagonal: its steps keep the bound, its smaller singular value need not."""
    i, j = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    ridge = torch.exp(-((i - j) ** 2) / 2).double()[None, None]
    grid = zoom_grid(ridge, (60, 60), max_zoom=2.0)
    upright = zoom_grid(torch.exp(-((j - 15) ** 2) / 2).double()[None, None], (60, 60), max_zoom=2.0)

    check_bounds(grid, 2.0, None, 1e-9)
    assert torch.linalg.svdvals(jacobians(grid)).min() < 1 / 4
    assert torch.linalg.svdvals(jacobians(upright)).min() >= 1 / 2 - 1e-9


def jacobians(grid):
    """One 2 x 2 matrix for each cell of a square grid, in uniform steps."""
    size = grid.shape[1]
    across = (grid[:, :-1].diff(dim=2) + grid[:, 1:].diff(dim=2)) / 2
    down = (grid[:, :, :-1].diff(dim=1) + grid[:, :, 1:].diff(dim=1)) / 2
    return torch.stack([across, down], dim=-1) * size / 2
