"""How much a grid magnifies."""

import numpy as np
import pytest
import torch

from foveal.sampler.frames import identity_grid
from foveal.tools.pictures.magnification import local_zoom, magnification


def even_grid(height, width):
    return identity_grid((height, width), torch.float32, torch.device("cpu"))[0].numpy()


def test_magnification_of_an_even_grid():
    """A uniform grid has magnification one; a grid over half of each side has two."""
    assert magnification(even_grid(33, 29)) == pytest.approx(1, rel=1e-3)
    assert magnification(even_grid(33, 29) / 2) == pytest.approx(2, rel=1e-3)
    assert magnification(even_grid(1, 29)) == 1


def test_both_ends_of_a_zoom():
    """The largest and the smallest are square roots of areas: here, columns are half as wide, and one and a half times as wide."""
    grid = even_grid(32, 32)
    grid[..., 0] *= np.where(grid[..., 0] < 0, 0.5, 1.5)

    assert local_zoom(grid) == pytest.approx((0.5**-0.5, 1.5**-0.5))
