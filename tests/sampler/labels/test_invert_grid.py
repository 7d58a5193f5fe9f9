"""Inverse grids, and feature maps that are brought back to the original."""

import re

import pytest
import torch

from foveal.sampler import (
    compose,
    invert_grid,
    unwarp_boxes,
    unwarp_masks,
    unwarp_points,
    unzoom,
    warp_boxes,
    warp_points,
    zoom_grid,
)
from foveal.sampler.labels._grid_inverse import inverse_of
from tests.checks import check_close, check_operator, unhooked
from tests.strategies import FAMILIES, softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")


def a_grid(family="kernel", dtype=torch.float64, size=(24, 32), batch=2):
    return zoom_grid(softmax_map(9, 14, batch=batch).to(dtype), size, family=family)


@pytest.mark.parametrize("family", FAMILIES)
def test_unzoomed_coordinates_are_those_of_the_source(family):
    """The grid's own x and y, unzoomed as features, are each pixel's position; at the border, the nearest visible one."""
    grid = a_grid(family)
    size = (33, 47)
    identity = zoom_grid(torch.ones(2, 1, 3, 3, dtype=torch.float64), size)
    inside = (invert_grid(grid, size) + 1) / 2 * torch.tensor([32, 24])
    inside = ((inside > 0.5) & (inside < torch.tensor([31.5, 23.5]))).all(dim=-1)
    back = unzoom(grid.permute(0, 3, 1, 2), grid, size).permute(0, 2, 3, 1)

    assert inside.float().mean() > 0.7
    check_close(back[inside], identity[inside], 1e-12)
    assert bool((back.abs() <= identity.abs() + 0.2).all())


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_no_pixel_is_left_unfilled(padding):
    """A map of ones comes back as ones, also where the zoomed image shows nothing."""
    grid = zoom_grid(softmax_map(31, 31, contrast=8.0), (20, 30), fwhm_cells=13.0, padding=padding)

    check_close(unzoom(torch.ones(1, 2, 5, 6), grid, (70, 90)), torch.ones(1, 2, 70, 90), 1e-6)


def test_features_of_any_resolution():
    """A ramp over the zoomed image at a quarter of its resolution is read as the inverse grid says."""
    grid = a_grid()
    x = (torch.arange(8, dtype=torch.float64) + 0.5) / 4 - 1
    ramp = x.expand(2, 1, 6, 8)
    expected = invert_grid(grid, (40, 50))[..., 0].clamp(x[0], x[-1])

    check_close(unzoom(ramp, grid, (40, 50))[:, 0], expected, 1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_levels_of_a_pyramid_come_back_as_each_alone(family, monkeypatch):
    """A list of maps gives bit-identical results to one call for each, and the grid is inverted once."""
    inverted = []

    def counted(*arguments):
        inverted.append(arguments)
        return inverse_of(*arguments)

    grid, sizes = a_grid(family), [(33, 47), (17, 24), (9, 12)]
    levels = [torch.randn(2, 3, 24 // k, 32 // k, requires_grad=True) for k in (1, 2, 4)]
    monkeypatch.setattr("foveal.sampler.labels._invert_grid.inverse_of", counted)
    together = unzoom(levels, grid, sizes)
    gradients = torch.autograd.grad(sum(level.square().sum() for level in together), levels)

    assert len(inverted) == 1
    for level, size, found, gradient in zip(levels, sizes, together, gradients, strict=True):
        alone = unzoom(level, grid, size)
        assert torch.equal(found, alone)
        assert torch.equal(gradient, torch.autograd.grad(alone.square().sum(), level)[0])
    assert unzoom([], grid, []) == []


@pytest.mark.parametrize("family", ["separable", "cdf"])
@pytest.mark.parametrize("turn", [0.0, 0.1])
def test_an_axis_in_a_view_is_inverted_as_any_grid(family, turn):
    """A separable grid with a flipped, cropped or rotated view is inverted as the general search inverts it."""
    views = torch.tensor([[[-0.6, turn, 0.1], [turn, 0.8, -0.1]]]).double().expand(2, -1, -1)
    grid = compose(views, a_grid(family))
    almost = grid.clone()
    almost[:, 11, 13] += 1e-13  # no longer separable

    check_close(invert_grid(grid, (21, 33), views=views), invert_grid(almost, (21, 33), views=views), 1e-8)


def test_gradcheck():
    """Derivatives by the features are right."""
    features = torch.randn(2, 1, 2, 3, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda f: unzoom(f, a_grid(), (7, 6)), features)


def test_manners():
    """No input is written to, strides do not matter, samples are independent, and an empty batch works."""
    features, grid = torch.randn(2, 3, 6, 8, dtype=torch.float64), a_grid()
    check_operator(lambda f, g: unzoom(f, g, (9, 11)), features, grid)
    check_operator(lambda g: invert_grid(g, (9, 11)), grid)
    single = torch.cat([invert_grid(g[None], (9, 11)) for g in grid])

    check_close(invert_grid(grid, (9, 11)), single, 1e-14)
    assert invert_grid(grid[:0], (9, 11)).shape == (0, 9, 11, 2)
    assert unzoom(features[:0], grid[:0], (9, 11)).shape == (0, 3, 9, 11)


def test_a_large_lattice_is_done_in_parts():
    """A lattice that is too large for one part has every row in its place."""
    grid = a_grid(batch=1)
    large = invert_grid(grid, (1000, 300))

    check_close(large[:, 499:501].mean(dim=1), invert_grid(grid, (500, 300))[:, 249:251].mean(dim=1), 1e-3)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_dtype_and_autocast(half):
    """Half precision gives float32, autocast changes no bit, and float64 stays float64."""
    features, grid = torch.randn(2, 3, 6, 8), a_grid(dtype=torch.float32)
    plain = unzoom(features, grid, (9, 11))
    with torch.autocast("cpu", half):
        inside = unzoom(features, grid, (9, 11))
        inverse = invert_grid(grid, (9, 11))

    assert torch.equal(inside, plain)
    assert torch.equal(inverse, invert_grid(grid, (9, 11)))
    assert unzoom(features.to(half), grid, (9, 11)).dtype == torch.float32
    assert invert_grid(grid.double(), (9, 11)).dtype == torch.float64
    assert unzoom(features.double(), grid, (9, 11)).dtype == torch.float64


def broken():
    grid = a_grid()
    grid[0, 3, 4, 0] = torch.nan
    return grid


@pytest.mark.parametrize(
    ("grid", "size", "message"),
    [
        (a_grid()[..., :1], (3, 3), "grid must be (batch, height, width, 2), got shape (2, 24, 32, 1)."),
        (a_grid()[:, :0], (3, 3), "grid must be (batch, height, width, 2), got shape (2, 0, 32, 2)."),
        (broken(), (3, 3), "grid must be finite, got nan."),
        (a_grid(), (3, 0), "size must be at least 1 pixel, got (3, 0)."),
        (
            a_grid().flip(2),
            (3, 3),
            "in x: x has to grow along the width, and y along the height; pass the views that it was composed with.",
        ),
        (
            a_grid().flip(1),
            (3, 3),
            "in y: x has to grow along the width, and y along the height; pass the views that it was composed with.",
        ),
    ],
)
def test_messages(grid, size, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        invert_grid(grid, size)


def test_fold_is_measured():
    """The error says by how much the grid folds."""
    grid = torch.tensor([[[-0.5, 0.0], [-0.75, 0.0], [0.5, 0.0]]])[None]

    with pytest.raises(ValueError, match=re.escape("grid must not fold, got a step of -0.25 in x")):
        invert_grid(grid, (2, 2))


def sheared(along_height, along_width, size=(16, 20)):
    """Return the grid with x = u + along_height v, y = v + along_width u, of the uniform u and v."""
    identity = zoom_grid(torch.ones(1, 1, 3, 3, dtype=torch.float64), size)
    return identity + identity.flip(3) * torch.tensor([along_height, along_width])


@pytest.mark.parametrize(
    "use",
    [
        lambda grid: invert_grid(grid, (3, 3)),
        lambda grid: unzoom(torch.ones(1, 1, 4, 4), grid, (3, 3)),
        lambda grid: warp_points([torch.ones(1, 2)], grid, (30, 40)),
        lambda grid: unwarp_points([torch.ones(1, 2)], grid, (30, 40)),
        lambda grid: warp_boxes([torch.tensor([[1.0, 2, 5, 6]])], grid, (30, 40)),
        lambda grid: unwarp_boxes([torch.tensor([[1.0, 2, 5, 6]])], grid, (30, 40)),
        lambda grid: unwarp_masks(torch.zeros(1, 4, 4, dtype=torch.uint8), grid, (30, 40)),
    ],
)
def test_a_grid_that_turns_over_is_refused(use):
    """A grid whose x and y each grow, but whose cells are mirrored, is refused by all that inverts or follows its map."""
    message = (
        "grid must not turn over, got 285 of 285 cells mirrored: x has to grow along the width more than along the height, or y "
        "along the height more than along the width – are the two exchanged?"
    )

    with pytest.raises(ValueError, match=re.escape(message)):
        use(sheared(2.0, 2.0))
    use(sheared(0.9, 0.9))
    use(sheared(3.0, 0.3))


def test_a_view_may_mirror_a_grid():
    """A mirrored view of a zoom is inverted, and one of a grid that turns over is refused."""
    views = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]], dtype=torch.float64)

    assert invert_grid(compose(views, sheared(0.9, 0.9)), (3, 3), views=views).isfinite().all()
    with pytest.raises(ValueError, match="grid must not turn over, got 285 of 285 cells mirrored"):
        invert_grid(compose(views, sheared(1.1, 1.1)), (3, 3), views=views)


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (
            torch.ones(2, 3, 4),
            ValueError,
            "features must be (2, channel, height, width) for as many grids, got shape (2, 3, 4).",
        ),
        (
            torch.ones(3, 1, 4, 4),
            ValueError,
            "features must be (2, channel, height, width) for as many grids, got shape (3, 1, 4, 4).",
        ),
        (
            torch.ones(2, 1, 4, 4, dtype=torch.int64),
            TypeError,
            "features must be floating point, got torch.int64: use unwarp_masks for labels.",
        ),
    ],
)
def test_messages_of_unzoom(features, error, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(error, match=re.escape(message)):
        unzoom(features, a_grid(), (3, 3))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([(3, 3)], "size must be 2 pairs (height, width), one for each level, got [(3, 3)]."),
        (3, "size must be 2 pairs (height, width), one for each level, got 3."),
        ((3, 3), "size must be 2 pairs (height, width), one for each level, got (3, 3)."),
        ([(3, 3), (0, 3)], "size must be at least 1 pixel, got (0, 3)."),
    ],
)
def test_messages_of_levels(sizes, message):
    """If sizes do not fit the levels, the error says what was given."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        unzoom([torch.ones(2, 1, 4, 4), torch.ones(2, 1, 2, 2)], a_grid(), sizes)


def test_one_number_for_a_square():
    """A size may be one number, as everywhere; what is no size is refused by its name."""
    grid, features = a_grid(), torch.rand(2, 3, 4, 5)

    assert torch.equal(invert_grid(grid, 6), invert_grid(grid, (6, 6)))
    assert torch.equal(unzoom(features, grid, 6), unzoom(features, grid, (6, 6)))
    with (
        unhooked(),
        pytest.raises(
            TypeError, match=re.escape("size must be a whole number of pixels, or (height, width), got 6.5.")
        ),
    ):
        invert_grid(grid, 6.5)
