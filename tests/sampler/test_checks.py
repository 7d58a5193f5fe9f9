import jaxtyping
import numpy as np
import pytest
import torch

from foveal.sampler import sample, zoom_grid
from tests.checks import (
    check_bounds,
    check_close,
    check_grid,
    check_operator,
    check_psnr,
    unhooked,
    uniform_steps,
)


@pytest.mark.parametrize("wrong", [np.ones((2, 2)) + 1e-3, np.full((2, 2), np.nan), np.ones((2, 1))])
def test_check_close_refuses(wrong):
    """The check notices a wrong value, a NaN and a wrong shape."""
    check_close(np.ones((2, 2)) + 1e-5, np.ones((2, 2)), 1e-4)

    with pytest.raises(AssertionError):
        check_close(wrong, np.ones((2, 2)), 1e-4)


def test_check_psnr_refuses():
    """The check allows an error of 0.01 everywhere at 40 dB, and no more."""
    expected = np.full((3, 4, 5), 0.5)
    check_psnr(expected + 0.01, expected, 39.9)

    with pytest.raises(AssertionError, match=r"40\.0 dB, at least 40\.1 asked for"):
        check_psnr(expected + 0.01, expected, 40.1)
    with pytest.raises(AssertionError):
        check_psnr(expected * np.nan, expected, 0)


@pytest.mark.parametrize("wrong", ["fold", "outside", "nan", "mirrored"])
def test_check_grid_refuses(wrong):
    """The check notices folds, points outside, NaN and a mirrored grid."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 5), torch.linspace(-1, 1, 7), indexing="ij")
    grid = torch.stack([x, y], dim=-1)[None]
    check_grid(grid)
    if wrong == "fold":
        grid[0, 2, 3, 0] = grid[0, 2, 5, 0]
    elif wrong == "outside":
        grid[0, 4, 6] = 1.01
    elif wrong == "nan":
        grid[0, 1, 1] = torch.nan
    else:
        grid = grid.flip(2)

    with pytest.raises(AssertionError):
        check_grid(grid)


def test_check_bounds_refuses_a_ridge():
    """The check notices a grid that exceeds a bound across a diagonal, although its steps along the axes do not."""
    i, j = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    ridge = torch.exp(-((i - j) ** 2) / 2).double()[None, None]
    grid = zoom_grid(ridge, (60, 60), max_zoom=2.0, bound="axes")

    assert uniform_steps(grid).min() >= 1 / 2 - 1e-9
    with pytest.raises(AssertionError, match="magnified"):
        check_bounds(grid, 2.0, None, 1e-9)


@pytest.mark.parametrize(
    ("fault", "operator"),
    [
        ("an input was written to", lambda t: t.mul_(1).add_(1) - t + 1),
        ("two calls differ", lambda t: t + torch.rand(3, 4)),
        ("strides change", lambda t: t + t.stride(0)),
    ],
)
def test_check_operator_refuses(fault, operator):
    """The check notices an operator that writes to its input, is random, or depends on strides."""
    check_operator(lambda t: 2 * t, torch.rand(3, 4))

    with pytest.raises(AssertionError, match=fault):
        check_operator(operator, torch.rand(3, 4))


def test_unhooked_takes_the_shape_checks_away_and_brings_them_back():
    """A wrong shape gives the package's message inside, and the test checker's outside."""
    images, grid = [torch.zeros(2, 2, 3, dtype=torch.uint8)], torch.zeros(1, 2, 2, 3)

    with unhooked(), pytest.raises(ValueError, match="grid must be"):
        sample(images, grid)
    with pytest.raises(jaxtyping.TypeCheckError):
        sample(images, grid)


@pytest.mark.parametrize("wrong", ["short", "long", "border"])
def test_check_bounds_refuses(wrong):
    """The check notices a step that is too short, one that is too long, and a border that is cropped."""
    y, x = torch.meshgrid((torch.arange(5) - 2) / 2.5, (torch.arange(7) - 3) / 3.5, indexing="ij")
    grid = torch.stack([x, y], dim=-1)[None]
    check_bounds(grid, 1.2, 0.9, 1e-6)
    if wrong == "short":
        grid[0, 2, 3, 0] -= 0.2 / 3.5
    elif wrong == "long":
        grid[0, 2, 4, 1] += 0.2 / 2.5
    else:
        grid = grid * 0.95

    with pytest.raises(AssertionError):
        check_bounds(grid, 1.2 if wrong == "short" else None, None if wrong == "short" else 0.9, 1e-6)
