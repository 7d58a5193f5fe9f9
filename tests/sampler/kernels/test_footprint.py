"""Footprints in float32 against float64, down to long and thin ones."""

import math

import pytest
import torch

from foveal.sampler import sample, zoom_grid
from foveal.sampler.kernels._footprint import footprints
from foveal.sampler.kernels.cpu import pull_back_on_cpu
from foveal.sampler.kernels.plain import footprints_to_grid
from tests.checks import check_close
from tests.sampler.kernels.bent import thin
from tests.strategies import bump

ASPECTS = [1, 10, 100, 1e3, 1e4]
WIDTHS = (0.3, 2.0)  # pixels; the thin side is raised to a pixel, or kept
# None of them makes both steps equally steep: there the derivative jumps.
ANGLES = [*torch.linspace(0.05, 3.05, 13).tolist(), 0.0, 3e-4, 0.013, 1.56, 1.5707]

aspects = pytest.mark.parametrize("aspect", ASPECTS)


def all_angles(aspect):
    """Return grids whose middle footprint has this aspect, exact in float32, and the size of their source."""
    side = int(4 * aspect) + 8
    grids = [thin(aspect * width, width, angle, (side, side)) for width in WIDTHS for angle in ANGLES]
    return torch.cat(grids), (side, side)


@aspects
def test_in_float32(aspect):
    """The size and the lean of a footprint in float32 are those in float64, however long and thin it is."""
    grid, size = all_angles(aspect)
    for found, true in zip(footprints(grid, size)[2:], footprints(grid.double(), size)[2:], strict=True):
        check_close(found / true.abs().clamp(min=1), true / true.abs().clamp(min=1), 1e-4)


@aspects
def test_gradients_in_float32(aspect):
    """The derivatives from footprints to the grid in float32 are those in float64, in plain torch and on the CPU."""
    grid, size = all_angles(aspect)
    draw = torch.Generator().manual_seed(0)
    slope, by_pixels = (torch.randn(len(grid), *shape, generator=draw) for shape in ((5, 3, 3, 3), (3, 3, 3)))
    numbers = (by_pixels[:, None] * slope).sum(dim=2)
    true = footprints_to_grid(numbers.double(), grid.double(), size)
    ours = torch.full_like(grid, torch.nan)
    pull_back_on_cpu(by_pixels, slope, grid, [*size] * len(grid), ours)
    most = true.flatten(1).norm(dim=1)[:, None, None, None]

    check_close(ours / most, true / most, 1e-4)
    check_close(footprints_to_grid(numbers, grid, size) / most, true / most, 1e-4)


@aspects
@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.003, 1.5707])
def test_pixels_in_float32(aspect, angle):
    """A pixel of a long, thin footprint in float32 is that in float64, whatever type the image has."""
    size = int(aspect * 2 * math.sin(angle)) + 40, int(aspect * 2 * math.cos(angle)) + 40
    y, x = (torch.arange(n, dtype=torch.float64) for n in size)
    image = (
        (127 + 60 * torch.sin(y / 3)[:, None] + 60 * torch.cos(x / 50))
        .to(torch.uint8)[..., None]
        .repeat(1, 1, 3)
    )
    for width in WIDTHS:
        grid = thin(aspect * width, width, angle, size)
        true = sample([image], grid.double())

        check_close(sample([image], grid), true, 1e-4)
        check_close(sample(image.permute(2, 0, 1)[None].float() / 255, grid), true, 1e-4)


@pytest.mark.parametrize(("size", "out_size"), [((64, 65000), (64, 16)), ((65000, 64), (16, 64))])
def test_an_even_strip_stays_even(size, out_size):
    """A long, thin image of one value is zoomed to that value, and no derivative is NaN."""
    image = torch.full((*size, 3), 200, dtype=torch.uint8)
    grid = zoom_grid(bump(9.0, 15, 13), out_size, max_zoom=5.0).requires_grad_()
    pixels = sample([image], grid)
    pixels.sum().backward()

    check_close(pixels, torch.full_like(pixels, 200 / 255), 2e-4)
    check_close(sample(image.permute(2, 0, 1)[None] / 255, grid), pixels, 2e-4)
    assert bool(grid.grad.isfinite().all())
