"""Anti-aliased sampling equals its definition, and averages as a picture that is resized should."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foveal.sampler import lowres, sample
from foveal.sampler.kernels._footprint import footprints
from foveal.sampler.kernels.plain._antialias import mean_over, slope_over
from tests import reference
from tests.checks import check_close
from tests.sampler.kernels.bent import identity, sizes, wavy, with_slope
from tests.sampler.noise import noise


def by_formula(image, grid):
    return reference.footprint_mean(image.numpy(), grid[0].numpy()) / 255


def in_torch(image, grid):
    """Return the same by plain torch."""
    dense = image.permute(2, 0, 1)[None].to(grid.dtype) / 255
    foot = footprints(grid, image.shape[:2])
    return mean_over(dense, foot), slope_over(dense, foot)


@settings(max_examples=15, deadline=None)
@given(st.tuples(sizes, sizes), st.integers(1, 7), st.integers(1, 7), st.floats(0.05, 2), st.integers(0, 999))
@example((1, 2), 3, 1, 2.0, 14)  # a step of more than two images
def test_equals_the_formula(size, rows, cols, strength, seed):
    """Kernel and plain torch equal the definition for any sizes and any bent grid, and have the same slope."""
    image, grid = noise(*size, seed), wavy(rows, cols, strength, seed)
    expected = by_formula(image, grid)
    pixels, slope = with_slope(image, grid)
    averages, plain_slope = in_torch(image, grid)
    dense = image.permute(2, 0, 1)[None].double() / 255

    check_close(pixels[0], expected, 1e-9)
    check_close(averages[0], expected, 1e-9)
    check_close(slope, plain_slope, 1e-7)
    check_close(sample(dense, grid), pixels, 1e-9)


@pytest.mark.parametrize("size", [(61, 47), (400, 300)])
def test_float32(size):
    """In float32, values and slopes of kernel and plain torch are nearly equal."""
    image, grid = noise(*size), wavy(23, 19, 0.5, dtype=torch.float32)
    averages, slope = in_torch(image, grid)
    pixels, kernel_slope = with_slope(image, grid)

    check_close(pixels, averages, 1e-4)
    check_close(kernel_slope, slope, 1e-3)


@settings(max_examples=12, deadline=None)
@given(sizes, sizes, st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_rows_and_columns_by_themselves(height, width, rows, cols, seed):
    """For a separable grid the result equals the definition, with and without a slope."""
    image, generator = noise(height, width, seed), torch.Generator().manual_seed(seed)
    across, down = (
        (2.4 * torch.rand(n, generator=generator, dtype=torch.float64) - 1.2).sort().values
        for n in (cols, rows)
    )
    grid = torch.stack([across.expand(rows, cols), down[:, None].expand(rows, cols)], -1)[None]
    pixels, _ = with_slope(image, grid)

    check_close(sample([image], grid)[0], by_formula(image, grid), 1e-9)
    check_close(sample([image], grid), pixels, 1e-9)


@pytest.mark.parametrize("period", range(2, 10))
@pytest.mark.parametrize("way", ["rows", "columns", "diagonals"])
def test_stripes_are_grey(period, way):
    """A pattern much finer than the output comes out as its mean, in the sample and in the low-resolution copy."""
    y, x = np.mgrid[:720, :960]
    along = {"rows": y, "columns": x, "diagonals": x + y}[way]
    stripes = torch.from_numpy(
        np.repeat(np.uint8(255) * (along % period < 1)[..., None].astype(np.uint8), 3, 2)
    )
    straight = identity(24, 30, torch.float32)
    turned = straight @ torch.tensor([[0.6, -0.2], [0.2, 0.6]])

    for grid, most in ((straight, 0.03), (turned, 0.035)):
        assert (sample([stripes], grid) - 1 / period).abs().max() < most + 1 / (20 * period)
    assert (lowres([stripes], (24, 30)) - 1 / period).abs().max() < 0.03 + 1 / (20 * period)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_it_magnifies_it_is_bilinear(dtype):
    """For steps of up to a source pixel, rotated or sheared, the result is bilinear sampling."""
    image = noise(40, 30)
    for degrees in range(0, 360, 20):
        angle = torch.tensor(degrees * np.pi / 180)
        turn = torch.stack(
            [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
        )
        small = identity(20, 20, torch.float64) @ (0.3 * turn.double()) * torch.tensor([1, 30 / 40])
        points = sample([image], small.to(dtype), antialias=False)

        check_close(sample([image], small.to(dtype)), points, 1e-5 if dtype == torch.float32 else 1e-12)


def test_the_transition_is_continuous():
    """When the zoom changes from magnifying to shrinking, no output pixel jumps."""
    image = noise(64, 64)
    scales = torch.linspace(0.2, 0.3, 401, dtype=torch.float64)
    frames = sample([image] * 401, scales[:, None, None, None] * identity(16, 16))

    assert frames.diff(dim=0).abs().max() < 0.03
    assert (frames[-1] - frames[0]).abs().max() > 0.3


def test_continuous_in_position():
    """A small move of a footprint changes the result little, also across cell edges of the lattice."""
    image, shifts = noise(200, 200), torch.linspace(0, 0.05, 501, dtype=torch.float64)
    frames = sample([image] * 501, identity(13, 17) * 0.9 + shifts[:, None, None, None])

    assert frames.diff(dim=0).abs().max() < 0.01


@pytest.mark.parametrize("times", [1, 2, 3, 5, 9, 14])
def test_the_identity_is_an_area_resize(times):
    """With the identity grid, every source pixel counts by its area."""
    image = noise(7 * times, 11 * times + 3)
    expected = reference.area_mean(image.numpy(), (7, 11)) / 255

    check_close(sample([image], identity(7, 11))[0], expected, 1e-9)


def test_noise_is_averaged():
    """White noise shrunk by 20 in each direction has the deviation of a mean of 400."""
    pixels = sample([noise(2000, 2000)], identity(100, 100, torch.float32))

    assert pixels.std().item() == pytest.approx((256 / np.sqrt(12)) / 255 / 20, rel=0.1)
    assert abs(pixels.mean() - 0.5) < 0.01


@settings(max_examples=20, deadline=None)
@given(sizes, sizes, st.floats(0, 3), st.integers(0, 999))
def test_constant_images_stay_constant(height, width, strength, seed):
    """The weights of any footprint sum to one, also beyond the border."""
    image = torch.tensor([0, 100, 255], dtype=torch.uint8).expand(height, width, 3)
    pixels = sample([image], wavy(6, 5, strength, seed, torch.float32))

    assert pixels.max() <= 1
    check_close(pixels[0], torch.tensor([0, 100 / 255, 1])[:, None, None].expand(3, 6, 5), 1e-6)


def test_ramps_have_their_mean_and_their_slope():
    """Where the steps on both sides of a pixel differ, a ramp still has its mean over the bilinear grid, and its exact slope."""
    y, x = np.mgrid[:200, :240]
    image = torch.from_numpy(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))
    grid = 0.6 * wavy(9, 8, 0.2)
    pixels, slope = with_slope(image, grid)
    expected = reference.supersampled(image.numpy(), grid[0].numpy()) / 255
    at_points = sample([image], grid, antialias=False)[0]

    check_close(pixels[0], expected, 0.05 / 255)
    assert np.abs(at_points.numpy() - expected).max() > 0.5 / 255
    check_close(slope[0, 0, 0], torch.full((9, 8), 1 / 255), 0.1 / 255)
    check_close(slope[0, 1, 1], torch.full((9, 8), 1 / 255), 0.1 / 255)
