import ctypes
import mmap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foveal.sampler import lowres, sample, zoom_grid
from foveal.sampler.kernels._footprint import footprints
from foveal.sampler.kernels.plain import average_dense, footprints_to_grid, to_footprints, to_images
from foveal.sampler.kernels.plain._antialias import mean_over, slope_over
from foveal.sampler.threads import spread_over
from tests import reference
from tests.checks import check_close
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
    """Return the identity grid, bent at random: footprints of all sizes, sheared, some beyond the border."""
    generator = torch.Generator().manual_seed(seed)
    bend = 2 * torch.rand(1, 2, 3, 3, dtype=dtype, generator=generator) - 1
    smooth = torch.nn.functional.interpolate(bend, (height, width), mode="bicubic", align_corners=False)
    return identity(height, width, dtype) + strength * smooth.permute(0, 2, 3, 1)


def with_slope(image, grid):
    """Return anti-aliased values and their slope."""
    return sample_with_slope_op([image], grid, True, [1.0] * 3, [0.0] * 3, grid.dtype, False)


def by_formula(image, grid):
    return reference.footprint_mean(image.numpy(), grid[0].numpy()) / 255


def in_torch(image, grid):
    """Return the same by plain torch."""
    dense = image.permute(2, 0, 1)[None].to(grid.dtype) / 255
    foot = footprints(grid, image.shape[:2])
    return mean_over(dense, foot), slope_over(dense, foot)


sizes = st.integers(1, 70)


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


def test_the_gradient_of_bends_and_slopes():
    """The derivative by the grid equals the difference quotient on a smooth image, where footprints lean and their neighbours differ in size."""
    y, x = torch.meshgrid(torch.arange(90.0), torch.arange(80.0), indexing="ij")
    image = (torch.sin(x / 11) * torch.cos(y / 9)).double()[None, None]
    grid = wavy(6, 7, 0.25, 3)
    weights = torch.randn(1, 1, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    way = torch.randn(grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    points = grid.clone().requires_grad_()
    (sample(image, points) * weights).sum().backward()
    ends = [(sample(image, grid + by * way) * weights).sum() for by in (1e-4, -1e-4)]

    assert (points.grad * way).sum().item() == pytest.approx(((ends[0] - ends[1]) / 2e-4).item(), rel=0.01)


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


def test_gradcheck_by_images():
    """First and second derivatives by dense images and grid agree with finite differences."""
    images, grid = torch.rand(2, 1, 5, 13, dtype=torch.float64), wavy(2, 3, 0.4).repeat(2, 1, 1, 1)

    assert torch.autograd.gradcheck(lambda image: sample(image, grid), images.requires_grad_())


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(sizes, sizes),
    st.tuples(st.integers(0, 3), st.integers(1, 9)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.floats(0.05, 2),
    st.integers(0, 999),
)
def test_dense_kernels_are_plain_torch(size, batch_channels, out_size, strength, seed):
    """Averages and derivatives equal plain torch's for any number of channels and images, in float64 and float32."""
    batch, channels = batch_channels
    draw = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, channels, *size, dtype=torch.float64, generator=draw).requires_grad_()
    grid = wavy(*out_size, strength, seed).repeat(batch, 1, 1, 1).requires_grad_()
    weights = torch.randn(batch, channels, *out_size, dtype=torch.float64, generator=draw)
    pixels = sample(images, grid)
    by_images, by_grid = torch.autograd.grad(pixels, (images, grid), weights)
    dense, points = images.detach(), grid.detach()
    numbers = to_footprints(weights, dense, points)

    check_close(pixels, average_dense(dense, points), 1e-11)
    check_close(by_images, to_images(weights, dense, points), 1e-11)
    check_close(by_grid, footprints_to_grid(numbers, points, size), 1e-6)
    check_close(sample(dense.float(), points.float()), pixels, 1e-3)


def test_threads_change_no_dense_pixel():
    """An image that is processed in bands by several threads has the same pixels."""
    images, grid = torch.rand(1, 3, 90, 70), wavy(24, 20, 0.5, dtype=torch.float32)
    weights = torch.randn(1, 3, 24, 20)

    def all_of_it():
        leaves = images.clone().requires_grad_(), grid.clone().requires_grad_()
        pixels = sample(*leaves)
        return pixels, *torch.autograd.grad(pixels, leaves, weights)

    def by_three():
        spread_over(3)  # for this thread, which ends
        return all_of_it()

    alone = all_of_it()
    with ThreadPoolExecutor(1) as pool:
        together = pool.submit(by_three).result()
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def contrast(image, grid):
    return sample([image], grid).var()


@pytest.mark.parametrize("family", ["kernel", "separable", "cdf"])
def test_the_gradient_is_that_of_what_is_computed(family):
    """The derivative of contrast by the zoom's strength equals the difference quotient, averaged over phases of a fine texture."""
    generator = torch.Generator().manual_seed(0)
    image = noise(240, 240, 1)
    logits = torch.rand(1, 1, 7, 7, generator=generator, dtype=torch.float64)
    told, true, way = [], [], 1e-3

    def at(strength, phase):
        weights = (strength * logits).flatten(1).softmax(1).view_as(logits)
        return contrast(image, zoom_grid(weights, (40, 40), family=family, fwhm_cells=3.0) + phase)

    for phase in (torch.rand(60, 2, generator=generator, dtype=torch.float64) - 0.5) / 40:
        strength = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        at(strength, phase).backward()
        told.append(strength.grad.item())
        with torch.no_grad():
            true.append((at(2.0 + way, phase) - at(2.0 - way, phase)).item() / (2 * way))

    assert abs(np.mean(true)) > 1e-6
    assert np.mean(told) == pytest.approx(np.mean(true), rel=0.1)


def test_gradient_of_the_kernel():
    """The gradient of ragged images equals that of dense ones."""
    image, ours = noise(90, 77), wavy(8, 9, 0.3).requires_grad_()
    theirs = ours.detach().requires_grad_()
    weights = torch.randn(1, 3, 8, 9, dtype=torch.float64)
    sample([image], ours).backward(weights)
    sample(image.permute(2, 0, 1)[None].double() / 255, theirs).backward(weights)

    check_close(ours.grad, theirs.grad, 1e-8)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30, -1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wild_points_are_harmless(value, dtype):
    """A NaN or infinite point affects only itself and its neighbours, which stay in range."""
    image, grid = noise(50, 60), identity(9, 9, dtype)
    wild = grid.clone()
    wild[0, 4, 4] = value
    pixels, before = sample([image], wild), sample([image], grid)
    near = torch.zeros(9, 9, dtype=torch.bool)
    near[3:6, 4] = near[4, 3:6] = True

    check_close(pixels[..., ~near], before[..., ~near], 1e-6)
    assert bool(((pixels >= -1e-6) & (pixels <= 1 + 1e-6)).all())
    check_close(sample(image.permute(2, 0, 1)[None].to(dtype) / 255, wild), pixels, 1e-4)


def at_the_end_of_memory(image):
    """Return a copy of an image that ends at a page that cannot be read."""
    size = image.numel()
    page = mmap.PAGESIZE
    room = -(-size // page) * page
    memory = mmap.mmap(-1, room + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + room), page, 0) == 0
    copy = torch.frombuffer(memory, dtype=torch.uint8, count=size, offset=room - size).view(image.shape)
    copy.copy_(image)
    return copy


@settings(max_examples=40, deadline=None)
@given(st.tuples(sizes, sizes), st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_nothing_behind_an_image_is_read(size, rows, cols, strength, seed):
    """An image that ends at an unreadable page is sampled; reading beyond it would end the process."""
    image = noise(*size, seed)
    last = at_the_end_of_memory(image)
    for grid in (wavy(rows, cols, strength, seed, torch.float32), identity(rows, cols, torch.float32)):
        assert torch.equal(sample([last], grid), sample([image], grid))
        with_slope(last, grid)
    assert torch.equal(lowres([last], (rows, cols)), lowres([image], (rows, cols)))


def test_footprints_far_apart():
    """Neighbours in an output row may be more than two gigabytes apart in the image."""
    side = 27000
    image = torch.zeros(side, side, 3, dtype=torch.uint8)  # only the pages that are written take memory
    image[-100:, :32] = 200
    down = torch.linspace(-1 + 1e-4, 1 - 1e-4, 17).expand(2, 17)
    along = torch.linspace(-1, -0.9995, 2)[:, None] + 1e-5 * torch.arange(17)
    grid = torch.stack([along, down], dim=-1)[None]
    pixels, _ = with_slope(image, grid)

    assert torch.equal(sample([image], grid), pixels)
    assert (pixels[..., :16] == 0).all()
    assert (pixels[..., 16] > 0).all()


def test_one_thread_or_four():
    """The number of threads changes no bit."""
    image, grid, threads = noise(300, 200), wavy(37, 41, 0.3, dtype=torch.float32), torch.get_num_threads()
    try:
        answers = [torch.set_num_threads(n) or sample([image], grid) for n in (1, 4)]
    finally:
        torch.set_num_threads(threads)

    assert torch.equal(*answers)


@pytest.mark.slow
def test_dense_compiles(run_plain):
    """torch.compile and torch.export work for dense floating-point images without graph breaks."""
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
