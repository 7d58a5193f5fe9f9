"""The CUDA kernels of `sample`, in Triton's interpreter or on a GPU."""

import numpy as np
import pytest
import torch

from foveal.sampler.kernels.cpu import pull_back_on_cpu
from foveal.sampler.kernels.cuda import pull_back_on_cuda, sample_on_cuda
from foveal.sampler.kernels.plain import footprints_to_grid
from tests import reference
from tests.checks import check_close
from tests.sampler.kernels.bent import thin
from tests.sampler.kernels.launches import MEAN, PLAIN, STD, by_numba, either, on_device, wavy
from tests.sampler.noise import noise

TONED = {
    "scale": [1 / s for s in STD],
    "shift": [-m / s for m, s in zip(MEAN, STD, strict=True)],
}
SIZES = [(61, 47), (1, 1), (1, 9), (8, 1), (2, 2), (90, 72), (33, 64)]


@pytest.fixture(scope="module")
def ragged():
    """Return images of odd, unequal sizes: shrunk to less than a hundredth, magnified, and sampled far outside."""
    grid = wavy(len(SIZES), 4, 7)
    grid[0, 0] += 1.5
    grid[6] *= 0.03
    return [noise(*size, seed) for seed, size in enumerate(SIZES)], grid


@pytest.fixture(scope="module")
def answers(triton_device, ragged):
    """Return what the kernels compute, in one launch each."""
    return {antialias: on_device(triton_device, *ragged, antialias) for antialias in (False, True)}


@either
def test_equals_the_formula(ragged, answers, antialias):
    """The kernels equal the definition in float64, for every image of a ragged batch."""
    for image, points, pixels in zip(*ragged, answers[antialias][0], strict=True):
        source, place = image.numpy(), points.double().numpy()
        expected = reference.footprint_mean(source, place) if antialias else reference.bilinear(source, place)

        check_close(pixels, expected / 255, 1e-4)


@either
def test_equals_the_kernel_of_the_cpu(ragged, answers, antialias):
    """Values and slopes differ from the CPU's by less than float32 rounding."""
    pixels, slope = by_numba(*ragged, antialias)

    check_close(answers[antialias][0], pixels, 3e-6)
    check_close(answers[antialias][1], slope, 5e-6 * slope.abs().max())


@either
def test_without_slope(triton_device, ragged, answers, antialias):
    """The pixels are bit-identical if no derivatives are needed."""
    images, grid = ragged
    alone, _ = on_device(triton_device, images[:2], grid[:2], antialias, slope=False)

    assert torch.equal(alone, answers[antialias][0][:2])


def moved(triton_device, image, grid, antialias, by):
    return on_device(triton_device, [image], grid + torch.tensor(by), antialias, slope=False)[0].double()


def test_slope_of_points_is_the_difference_quotient(triton_device):
    """The slope equals the difference quotient, except for at most one pixel in ten, which crosses a pixel's edge."""
    image, grid, way = noise(40, 50), wavy(1, 4, 31, 0.1) * 0.8, 2**-12
    _, slope = on_device(triton_device, [image], grid, antialias=False)
    for axis, by in enumerate(([way, 0], [0, way])):
        ahead = moved(triton_device, image, grid, False, by)
        behind = moved(triton_device, image, grid, False, [-v for v in by])
        quotient, rounding = (ahead - behind) / (2 * way), 2e-3 * slope.abs().max()

        assert (quotient - slope[:, axis]).abs().quantile(0.9) < rounding
        assert (quotient - 1.02 * slope[:, axis]).abs().quantile(0.9) > rounding


def test_pull_back_of_footprints(triton_device):
    """The gradient of the grid equals autograd's, on both devices."""
    draw = torch.Generator().manual_seed(0)
    grid, size = wavy(2, 5, 33, 0.3), (60, 40)
    slope, by_pixels = (torch.randn(*shape, generator=draw) for shape in ((2, 5, 3, 5, 33), (2, 3, 5, 33)))
    there, here = (torch.full((2, 5, 33, 2), torch.nan, device=d) for d in (triton_device, "cpu"))
    given = (by_pixels, slope, grid)
    pull_back_on_cuda(*(t.to(triton_device) for t in given), [*size, *size], there)
    pull_back_on_cpu(*given, [*size, *size], here)
    expected = footprints_to_grid((by_pixels[:, None] * slope).sum(2).double(), grid.double(), size)

    check_close(here.double(), expected, 1e-3 * expected.abs().max())
    check_close(there, here, 1e-3 * here.abs().max())


@pytest.mark.parametrize("angle", [0.0, 0.003])
@pytest.mark.parametrize("width", [0.4, 1.5])
def test_long_thin_footprints(triton_device, width, angle):
    """Pixels and the gradient of the grid are the CPU's for footprints that are thousands of pixels long."""
    image = noise(20, 900)
    grid = thin(6000 * width, width, angle, (20, 6000))
    grid[..., 0] *= 900 / 6000  # steps of 900 pixels in this image
    pixels, slope = by_numba([image], grid, True)
    given, sizes = (
        (torch.ones_like(pixels), slope, thin(6000 * width, width, angle, (60, 20000))),
        [60, 20000],
    )
    there, here = (torch.full(grid.shape, torch.nan, device=d) for d in (triton_device, "cpu"))
    pull_back_on_cuda(*(t.to(triton_device) for t in given), sizes, there)
    pull_back_on_cpu(*given, sizes, here)

    check_close(on_device(triton_device, [image], grid, True)[0], pixels, 3e-6)
    check_close(there, here, 1e-4 * here.abs().max())


@either
def test_writes_its_pixels_and_no_others(triton_device, antialias):
    """Output is written to a part of a larger tensor at its strides, and the rest of the tensor does not change."""
    images, grid = [noise(9, 12), noise(7, 6, 1)], wavy(2, 5, 33)
    memory = torch.full((2, 4, 7, 36), torch.nan, device=triton_device)
    part = memory[:, :3, 1:6, 2:35]
    there = [image.to(triton_device) for image in images]
    sample_on_cuda(
        there,
        grid.to(triton_device),
        part,
        memory.new_empty(2, 5 if antialias else 2, 3, 0, 0),
        antialias=antialias,
        **PLAIN,
    )

    check_close(part, by_numba(images, grid, antialias)[0], 1e-6)
    assert memory.isfinite().sum() == part.numel()


@either
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_normalised_in_any_form(triton_device, antialias, channels_last, dtype):
    """Pixels are scaled, shifted, rounded once and ordered as on the CPU, and slopes are scaled."""
    image, grid = noise(10, 8), wavy(1, 4, 5, 0.2)
    form = {"dtype": dtype, "channels_last": channels_last, "slope": dtype == torch.float32, "tone": TONED}
    pixels, slope = on_device(triton_device, [image], grid, antialias, **form)
    expected, expected_slope = by_numba([image], grid, antialias, **form)
    rounding = 2 * torch.finfo(dtype).eps if dtype.itemsize < 4 else 2e-6

    assert pixels.dtype == dtype
    assert pixels.stride() == expected.stride()
    check_close(pixels.double(), expected.double(), rounding * expected.abs().max().item())
    check_close(slope, expected_slope, 1e-6 * expected_slope.abs().max() if slope.numel() else 0)


# numpy, which the interpreter computes with, says aloud what floating point does in silence.
@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")
@either
def test_wild_points_are_harmless(triton_device, antialias):
    """NaN and infinite points read what the CPU reads: pixel 0 for NaN, else the border."""
    image, grid = noise(13, 19), wavy(1, 4, 9, 0.1)
    grid[0, 1, :5, 0] = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30, -1e30])
    grid[0, 3, 4:, 1] = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30, -1e30])
    pixels, slope = on_device(triton_device, [image], grid, antialias)
    expected, expected_slope = by_numba([image], grid, antialias)

    check_close(pixels, expected, 3e-6)
    check_close(slope, expected_slope, 5e-6 * expected_slope.abs().max())
    nowhere, _ = on_device(triton_device, [image], torch.full((1, 2, 2, 2), torch.nan), antialias)
    check_close(nowhere, (image[0, 0] / 255)[None, :, None, None].expand(1, 3, 2, 2), 1e-6)


@either
def test_white_stays_white(triton_device, antialias):
    """No average leaves [0, 1] by rounding."""
    image = torch.full((50, 70, 3), 255, dtype=torch.uint8)
    pixels, _ = on_device(triton_device, [image], wavy(1, 4, 32), antialias, slope=False)

    assert pixels.max() <= 1
    check_close(pixels, torch.ones(1, 3, 4, 32), 1e-6)


@either
@pytest.mark.parametrize("shape", [(0, 3, 4, 2), (1, 0, 4, 2)])
def test_nothing_to_do(triton_device, antialias, shape):
    """Without images or output pixels, no kernel is launched."""
    images = [noise(3, 3)] * shape[0]
    pixels, _ = on_device(triton_device, images, torch.zeros(shape), antialias, slope=False)

    assert pixels.shape == (shape[0], 3, *shape[1:3])


def test_images_begin_at_any_byte(triton_device):
    """Images may begin at any byte address, although kernels read aligned words."""
    image, grid = noise(6, 5), wavy(1, 2, 3)
    plain, _ = on_device(triton_device, [image], grid, antialias=False, slope=False)
    for offset in range(8):
        memory = torch.zeros(8 + image.numel(), dtype=torch.uint8, device=triton_device)
        shifted = memory[offset : offset + image.numel()].view(image.shape)
        shifted.copy_(image)

        assert shifted.data_ptr() % 8 == offset
        assert torch.equal(on_device(triton_device, [shifted], grid, antialias=False, slope=False)[0], plain)


@either
def test_strides(triton_device, antialias):
    """Images with any strides give the same as their copies."""
    image, grid = noise(6, 5), wavy(1, 2, 3)
    planar = image.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    pixels, plain = (on_device(triton_device, [i], grid, antialias, slope=False)[0] for i in (planar, image))

    assert torch.equal(pixels, plain)


@pytest.mark.parametrize("kind", ["contiguous", "channels_last", "half", "expanded"])
def test_pull_back(triton_device, kind):
    """The gradient of the grid is the sum over channels, in float64 and on the CPU, for gradients of any strides."""
    draw = torch.Generator().manual_seed(0)
    slope, by_pixels = (torch.randn(*shape, generator=draw) for shape in ((2, 2, 3, 5, 33), (2, 3, 5, 33)))
    if kind == "channels_last":
        by_pixels = by_pixels.to(memory_format=torch.channels_last)
    if kind == "half":
        by_pixels = by_pixels.bfloat16()
    if kind == "expanded":
        by_pixels = by_pixels[:, :1, :1, :1].expand_as(by_pixels)
    there, here = (torch.full((2, 5, 33, 2), torch.nan, device=d) for d in (triton_device, "cpu"))
    grid, sizes = torch.zeros(2, 5, 33, 2), [9, 7, 8, 6]
    given = (by_pixels, slope, grid)
    pull_back_on_cuda(*(t.to(triton_device) for t in given), sizes, there)
    pull_back_on_cpu(*given, sizes, here)
    expected = np.einsum("bchw,bachw->bhwa", by_pixels.double().numpy(), slope.double().numpy())

    check_close(there, expected, 1e-5)
    check_close(there, here, 1e-5)
