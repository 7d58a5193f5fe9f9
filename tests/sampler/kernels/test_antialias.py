import io
import tarfile

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from foveal.sampler import SaliencySampler, SpectralSaliency, UniformSampler, sample
from foveal.sampler.kernels.plain import _antialias as plain
from tests import reference
from tests.checks import check_close, check_psnr
from tests.sampler.sampling.operators import sample_with_slope_op


def noise(height, width, seed=0):
    return torch.randint(
        0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def identity(height, width, dtype=torch.float64):
    return torch.nn.functional.affine_grid(
        torch.eye(2, 3, dtype=dtype)[None], [1, 3, height, width], align_corners=False
    )


def wavy(height, width, strength, seed=0, dtype=torch.float64):
    """The identity, bent at random: footprints of all sizes, slanted, some beyond the border."""
    generator = torch.Generator().manual_seed(seed)
    bend = 2 * torch.rand(1, 2, 3, 3, dtype=dtype, generator=generator) - 1
    smooth = torch.nn.functional.interpolate(bend, (height, width), mode="bicubic", align_corners=False)
    return identity(height, width, dtype) + strength * smooth.permute(0, 2, 3, 1)


def with_slope(image, grid):
    """Anti-aliased values and their slope, as they are."""
    return sample_with_slope_op([image], grid, True, [1.0] * 3, [0.0] * 3, grid.dtype, False)


def by_formula(image, grid):
    return [values / 255 for values in reference.footprint_mean(image.numpy(), grid[0].numpy())]


sizes = st.integers(1, 70)


@settings(max_examples=25, deadline=None)
@given(st.tuples(sizes, sizes), st.integers(1, 7), st.integers(1, 7), st.floats(0.05, 2), st.integers(0, 999))
@example((1, 2), 3, 1, 2.0, 14)  # a step of more than two images
def test_equals_the_formula(size, rows, cols, strength, seed):
    """Kernel and plain torch are the definition, value and slope, for any sizes and any bent grid.

    Not for a straight one: its footprints may end where cells do, and there the slope has two sides.
    """
    image, grid = noise(*size, seed), wavy(rows, cols, strength, seed)
    expected, expected_slope = by_formula(image, grid)
    pixels, slope = with_slope(image, grid)
    dense = image.permute(2, 0, 1)[None].double() / 255
    averages, plain_slope = plain.antialias_reference(dense, grid)

    check_close(pixels[0], expected, 1e-9)
    check_close(averages[0], expected, 1e-9)
    check_close(slope[0], expected_slope, 1e-7)
    check_close(plain_slope[0], expected_slope, 1e-7)
    check_close(sample(dense, grid), pixels, 1e-9)


@pytest.mark.parametrize("size", [(61, 47), (400, 300)])
def test_float32(size):
    """In float32 kernel and plain torch find the same footprints to the bit, and averages that are as good as equal."""
    image, grid = noise(*size), wavy(23, 19, 0.5, dtype=torch.float32)
    averages, slope = plain.antialias_reference(image.permute(2, 0, 1)[None].float() / 255, grid)
    pixels, kernel_slope = with_slope(image, grid)

    check_close(pixels, averages, 1e-4)
    check_close(kernel_slope, slope, 1e-2)  # of values per unit of the grid: hundreds of pixels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_it_magnifies_it_is_bilinear(dtype):
    """Steps of up to a source pixel, turned and slanted: no filter, the points themselves."""
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
    """As the zoom goes from magnifying to minifying, no output pixel jumps."""
    image = noise(64, 64)
    scales = torch.linspace(0.2, 0.3, 401, dtype=torch.float64)
    frames = sample([image] * 401, scales[:, None, None, None] * identity(16, 16))

    assert frames.diff(dim=0).abs().max() < 0.03
    assert (frames[-1] - frames[0]).abs().max() > 0.3


def test_continuous_in_position():
    """A footprint that moves by little changes by little, across the edges of the lattice's cells too."""
    image, shifts = noise(200, 200), torch.linspace(0, 0.05, 501, dtype=torch.float64)
    frames = sample([image] * 501, identity(13, 17) * 0.9 + shifts[:, None, None, None])

    assert frames.diff(dim=0).abs().max() < 0.01


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_the_identity_is_an_area_resize(times):
    """Up to five source pixels a side, every one of them counts, by its area."""
    image = noise(7 * times, 11 * times + 3)
    expected = reference.area_mean(image.numpy(), (7, 11)) / 255

    check_close(sample([image], identity(7, 11))[0], expected, 1e-9)


def test_noise_is_averaged():
    """White noise at 20 source pixels a side leaves with the deviation of a mean of 5 rows and 5 pairs of columns."""
    pixels = sample([noise(2000, 2000)], identity(100, 100, torch.float32))

    assert pixels.std().item() == pytest.approx((256 / np.sqrt(12)) / 255 / np.sqrt(5 * 5 * 2), rel=0.1)
    assert abs(pixels.mean() - 0.5) < 0.01


@settings(max_examples=20, deadline=None)
@given(sizes, sizes, st.floats(0, 3), st.integers(0, 999))
def test_constant_images_stay_constant(height, width, strength, seed):
    """Whatever the footprint, its weights sum to one, beyond the border too."""
    image = torch.tensor([0, 100, 255], dtype=torch.uint8).expand(height, width, 3)
    pixels = sample([image], wavy(6, 5, strength, seed, torch.float32))

    assert pixels.max() <= 1
    check_close(pixels[0], torch.tensor([0, 100 / 255, 1])[:, None, None].expand(3, 6, 5), 1e-6)


def test_ramps_stay_linear_and_their_slope_is_exact():
    """The lattice is centred: a ramp keeps its values to the middle of the footprint, and its slope everywhere inside."""
    y, x = np.mgrid[:200, :240]
    image = torch.from_numpy(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))
    grid = (0.6 * wavy(9, 8, 0.2)).requires_grad_()
    pixels, slope = with_slope(image, grid)
    inside = grid.detach()[0].unbind(-1)

    check_close(pixels[0, 0], ((inside[0] + 1) * 120 - 0.5) / 255, 0.3 / 255)
    check_close(pixels[0, 1], ((inside[1] + 1) * 100 - 0.5) / 255, 0.3 / 255)
    check_close(slope[0, 0, 0], torch.full((9, 8), 120 / 255), 40 / 255)


def test_gradcheck(monkeypatch):
    """With the footprints' shapes held, numeric and analytic derivatives agree, by the grid and by dense images."""
    images, grid = torch.rand(2, 2, 5, 23, dtype=torch.float64), wavy(2, 3, 0.4).repeat(2, 1, 1, 1)
    shape = plain.footprints(grid, (5, 23))

    def held(moved, size):
        return shape._replace(x=(moved[..., 0] + 1) * size[1] / 2, y=(moved[..., 1] + 1) * size[0] / 2)

    monkeypatch.setattr(plain, "footprints", held)

    assert torch.autograd.gradcheck(sample, (images.requires_grad_(), grid.requires_grad_()))


def test_gradient_of_the_kernel():
    """Backward of ragged images is that of dense ones."""
    image, ours = noise(90, 77), wavy(8, 9, 0.3).requires_grad_()
    theirs = ours.detach().requires_grad_()
    weights = torch.randn(1, 3, 8, 9, dtype=torch.float64)
    sample([image], ours).backward(weights)
    sample(image.permute(2, 0, 1)[None].double() / 255, theirs).backward(weights)

    check_close(ours.grad, theirs.grad, 1e-8)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30, -1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wild_points_are_harmless(value, dtype):
    """A point that is nowhere disturbs itself and its neighbours, all of which stay in range; nobody else."""
    image, grid = noise(50, 60), identity(9, 9, dtype)
    wild = grid.clone()
    wild[0, 4, 4] = value
    pixels, before = sample([image], wild), sample([image], grid)
    near = torch.zeros(9, 9, dtype=torch.bool)
    near[3:6, 4] = near[4, 3:6] = True

    assert torch.equal(pixels[..., ~near], before[..., ~near])
    assert bool(((pixels >= -1e-6) & (pixels <= 1 + 1e-6)).all())
    check_close(sample(image.permute(2, 0, 1)[None].to(dtype) / 255, wild), pixels, 1e-4)


def test_one_thread_or_four():
    """The same bits, however the rows are shared out."""
    image, grid, threads = noise(300, 200), wavy(37, 41, 0.3, dtype=torch.float32), torch.get_num_threads()
    try:
        answers = [torch.set_num_threads(n) or sample([image], grid) for n in (1, 4)]
    finally:
        torch.set_num_threads(threads)

    assert torch.equal(*answers)


def test_dense_compiles(run_plain):
    """torch.compile and torch.export take dense floating-point images whole."""
    run_plain("""
        import torch
        from foveal.sampler import sample
        image = torch.rand(1, 3, 20, 30, dtype=torch.float64)
        grid = (torch.rand(1, 4, 5, 2, dtype=torch.float64) - 0.5).requires_grad_()
        torch.compile(lambda g: sample(image, g), fullgraph=True, backend="aot_eager")(grid).square().sum().backward()
        compiled, grid.grad = grid.grad, None
        sample(image, grid).square().sum().backward()
        torch.testing.assert_close(compiled, grid.grad)

        class Layer(torch.nn.Module):
            def forward(self, image, grid):
                return sample(image, grid)

        exported = torch.export.export(Layer(), (image, grid.detach())).module()
        torch.testing.assert_close(exported(image, grid), sample(image, grid))
    """)


def photos(folder, largest=10**9):
    for path in sorted((folder / "photos").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if not member.name.endswith((".jpg", ".jpeg")):
                    continue
                image = Image.open(io.BytesIO(tar.extractfile(member).read()))
                if image.width * image.height <= largest:
                    upright = ImageOps.exif_transpose(image).convert("RGB")
                    yield member.name, torch.from_numpy(np.array(upright))


def zooms(size):
    yield "uniform", UniformSampler(size), 42
    for temperature, least in ((1.0, 42), (0.5, 42), (0.25, 39)):
        yield temperature, SaliencySampler(size, saliency=SpectralSaliency(), temperature=temperature), least


def check_photo(name, image, size):
    for zoom_name, zoom, least in zooms(size):
        zoomed, grid, _ = zoom([image])
        expected = reference.supersampled(image.numpy(), grid[0].numpy()) / 255
        point = reference.psnr(sample([image], grid, antialias=False)[0], expected)
        print(f"{name}, {zoom_name}: {reference.psnr(zoomed[0], expected):.1f} dB, points {point:.1f}")  # noqa: T201
        check_psnr(zoomed[0], expected, least)


def test_small_photographs(data_dir):
    """The smallest photographs come near the mean of 256 points to a pixel."""
    for name, image in list(photos(data_dir, largest=2.5e6))[:2]:
        check_photo(name, image, 64)


@pytest.mark.slow
def test_photographs(data_dir):
    """All photographs do, at 224 pixels, for mild and for sharp zooms."""
    for name, image in photos(data_dir):
        check_photo(name, image, 224)
