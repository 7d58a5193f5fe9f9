import gc
import multiprocessing
import sys
import threading
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import sample
from foveal.sampler.kernels.plain import sample_reference
from foveal.sampler.sampling._sample_op import sample_op, sample_with_slope_op
from tests import reference
from tests.checks import check_close, check_operator
from tests.sampler.noise import noise


def wild_grid(batch, height, width, dtype=torch.float64, reach=1.3):
    generator = torch.Generator().manual_seed(batch + height + width)
    return reach * (2 * torch.rand(batch, height, width, 2, dtype=dtype, generator=generator) - 1)


def torch_sample(image, grid):
    """Return what torch's grid_sample reads from one uint8 image, in the grid's precision."""
    dense = image.permute(2, 0, 1)[None].to(grid.dtype) / 255
    return torch.nn.functional.grid_sample(dense, grid[None], padding_mode="border", align_corners=False)[0]


either = pytest.mark.parametrize("antialias", [False, True])

# What the operators take beside images, grid and antialias: no change, and every change.
AS_IS = [1.0] * 3, [0.0] * 3, torch.float64, False
CHANGED = [4.0, 5.0, 6.0], [-2.0, -1.0, 1.0], torch.float16, True


def strided(image, kind):
    """Return the same pixels in other memory: planar, cut out of a larger image, or one expanded pixel."""
    if kind == "planar":
        return image.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    if kind == "cut":
        return torch.nn.functional.pad(image.permute(2, 0, 1), (3, 5, 1, 2), value=9).permute(1, 2, 0)[
            1:-2, 3:-5
        ]
    if kind == "expanded":
        return image[:1, :1].expand_as(image)
    return image


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=4),
    st.sampled_from(["contiguous", "planar", "cut", "expanded"]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_equals_grid_sample(sizes, kind, dtype, height, width):
    """Values and gradients equal torch's, for images of any size and strides, from 1 x 1 up."""
    images = [strided(noise(*size), kind) for size in sizes]
    grid, plain = (wild_grid(len(sizes), height, width, dtype).requires_grad_() for _ in range(2))
    ours = sample(images, grid, antialias=False)
    theirs = torch.stack([torch_sample(image, points) for image, points in zip(images, plain, strict=True)])
    weight = torch.randn(theirs.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    ours.backward(weight)
    theirs.backward(weight)

    assert ours.dtype == dtype
    check_close(ours, theirs, 1e-5)
    check_close(sample(images, grid.detach(), antialias=False), theirs, 1e-5)
    if (
        dtype == torch.float64
    ):  # in float32 a point may fall on the other side of a pixel, where the slope is another
        check_close(grid.grad, plain.grad, 1e-10)


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (17, 11), (48, 64)])
def test_equals_the_formula(size):
    """The NumPy oracle agrees, also with plain torch."""
    image, grid = noise(*size), wild_grid(1, 6, 7)
    expected = reference.bilinear(image.numpy(), grid[0].numpy()) / 255

    check_close(sample([image], grid, antialias=False)[0], expected, 1e-12)
    check_close(sample_reference(image, grid[0])[0], expected, 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reference_and_kernel_agree(dtype):
    """Plain torch and kernel have the same values and slopes, also for NaN and infinity."""
    image, grid = noise(13, 19), wild_grid(1, 8, 9, dtype)
    grid[0, 0, :4] = torch.tensor(
        [[torch.nan, 0], [0, torch.nan], [torch.inf, -torch.inf], [1e30, -1e30]], dtype=dtype
    )
    pixels, slope = sample_with_slope_op([image], grid, False, *AS_IS[:2], dtype, False)
    plain_pixels, plain_slope = sample_reference(image, grid[0])

    check_close(pixels[0], plain_pixels, 1e-6)
    check_close(slope[0], plain_slope, 1e-4)
    assert torch.equal(sample_op([image], grid, False, *AS_IS[:2], dtype, False), pixels)


@either
def test_nan_reads_the_first_pixel(antialias):
    """A grid of NaN reads the upper left pixel."""
    image = noise(5, 6)
    pixels = sample([image], torch.full((1, 2, 2, 2), torch.nan), antialias=antialias)

    check_close(pixels[0, :, 0, 0], image[0, 0] / 255, 1e-6)


def test_gradcheck():
    """Numeric and analytic derivatives agree in float64."""
    images, grid = [noise(7, 5), noise(3, 9, seed=1)], wild_grid(2, 4, 3, reach=0.9).requires_grad_()

    assert torch.autograd.gradcheck(lambda g: sample(images, g, antialias=False), grid)


@either
def test_clamped_points_have_no_gradient(antialias):
    """Points beyond the border have a zero gradient."""
    grid = torch.full((1, 2, 2, 2), 1.5, requires_grad=True)
    sample([noise(5, 5)], grid, antialias=antialias).sum().backward()

    check_close(grid.grad, torch.zeros(1, 2, 2, 2), 0)


@either
def test_second_derivative_is_refused(antialias):
    """A second derivative raises an error, because there is none."""
    grid = wild_grid(1, 2, 2, reach=0.9).requires_grad_()
    (first,) = torch.autograd.grad(
        sample([noise(5, 5)], grid, antialias=antialias).sum(), grid, create_graph=True
    )

    with pytest.raises(NotImplementedError, match="no second derivative"):
        first.sum().backward()


@either
@pytest.mark.parametrize("form", [AS_IS, CHANGED])
@pytest.mark.parametrize("operator", [sample_op, sample_with_slope_op])
def test_opcheck(operator, form, antialias):
    """torch's checks of custom operators pass, for ragged and empty batches."""
    torch.library.opcheck(operator, ([noise(7, 5), noise(1, 1)], wild_grid(2, 4, 3), antialias, *form))
    torch.library.opcheck(operator, ([], torch.zeros(0, 4, 3, 2), antialias, *form))


@either
@pytest.mark.parametrize("form", [AS_IS, CHANGED])
def test_opcheck_autograd(form, antialias):
    """torch's check of the registered gradient passes."""
    grid = wild_grid(2, 4, 3).requires_grad_()

    torch.library.opcheck(
        sample_with_slope_op,
        ([noise(7, 5), noise(1, 1)], grid, antialias, *form),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


@either
def test_images_are_free_before_backward(antialias):
    """Between forward and backward nothing refers to the full-resolution pixels."""
    image, grid = noise(300, 400), torch.zeros(1, 4, 4, 2, requires_grad=True)
    pixels, gone = sample([image], grid, antialias=antialias), weakref.ref(image)
    gc.disable()
    try:
        del image
        assert gone() is None
    finally:
        gc.enable()
    pixels.sum().backward()

    assert grid.grad.shape == (1, 4, 4, 2)


@either
def test_dense_uint8_equals_ragged(antialias):
    """A dense uint8 tensor gives the same as a list of its images."""
    images = [noise(9, 7, seed) for seed in range(3)]
    grid = wild_grid(3, 4, 5)

    dense = sample(torch.stack(images).permute(0, 3, 1, 2), grid, antialias=antialias)

    assert torch.equal(dense, sample(images, grid, antialias=antialias))


def test_dense_float_has_gradients_to_image_and_grid():
    """Floating-point images keep their scale, may have any channels, and image and grid have gradients."""
    image = (5 * torch.randn(2, 4, 6, 7, dtype=torch.float64)).requires_grad_()
    grid = wild_grid(2, 3, 3, reach=0.9).requires_grad_()

    assert torch.autograd.gradcheck(lambda i, g: sample(i, g, antialias=False), (image, grid))
    assert sample(image.bfloat16(), grid.float()).dtype == torch.float32


@either
def test_manners(antialias):
    """No input is written to, two calls are equal, and the grid's strides do not matter."""
    image = noise(9, 7)
    check_operator(lambda grid: sample([image, image], grid, antialias=antialias), wild_grid(2, 4, 5))
    before = image.clone()
    sample([image], wild_grid(1, 4, 5), antialias=antialias)

    assert torch.equal(image, before)


@either
def test_batch_equals_single(antialias):
    """An image's pixels do not depend on the batch or the number of threads."""
    images = [noise(9 + k, 7, seed=k) for k in range(5)]
    grid = wild_grid(5, 4, 5)
    single = torch.cat(
        [
            sample([image], points[None], antialias=antialias)
            for image, points in zip(images, grid, strict=True)
        ]
    )

    assert torch.equal(sample(images, grid, antialias=antialias), single)


@either
def test_empty_batch(antialias):
    """An empty batch gives an empty result of the right shape."""
    assert sample([], torch.zeros(0, 5, 7, 2), antialias=antialias).shape == (0, 3, 5, 7)
    assert sample(torch.zeros(0, 3, 9, 9), torch.zeros(0, 5, 7, 2), antialias=antialias).shape == (0, 3, 5, 7)


def test_docstring_example():
    """The example in the docstring holds."""
    assert sample([torch.full((480, 640, 3), 255, dtype=torch.uint8)], torch.zeros(1, 5, 7, 2)).shape == (
        1,
        3,
        5,
        7,
    )


@either
def test_many_threads_at_once(antialias):
    """Eight concurrent threads each get the right result."""
    grid, wrong = wild_grid(3, 16, 16), []
    jobs = [[noise(40 + k, 50, seed=10 * k + i) for i in range(3)] for k in range(8)]
    expected = [sample(images, grid, antialias=antialias) for images in jobs]

    def hammer(k):
        wrong.extend(
            k for _ in range(50) if not torch.equal(sample(jobs[k], grid, antialias=antialias), expected[k])
        )

    threads = [threading.Thread(target=hammer, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert not wrong
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_sample():
    """A forked child starts worker threads of its own."""
    images, grid = [noise(30, 40, seed) for seed in range(4)], wild_grid(4, 8, 8)
    expected = sample(images, grid).numpy()
    receive, send = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=lambda: send.send(sample(images, grid).numpy())
    )
    child.start()
    answered = receive.poll(timeout=30)
    result = receive.recv() if answered else None
    child.join(timeout=10)
    if child.is_alive():
        child.kill()

    assert answered, "the child hangs"
    assert np.array_equal(expected, result)


def test_numba_is_loaded_by_the_first_call(run_plain):
    """Importing the package does not load numba."""
    run_plain("""
        import sys, torch
        from foveal.sampler import sample
        assert "numba" not in sys.modules
        sample([torch.zeros(2, 2, 3, dtype=torch.uint8)], torch.zeros(1, 2, 2, 2))
        assert "numba" in sys.modules
    """)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the compiler of torch.compile is not there")
def test_compiles(run_plain):
    """torch.compile works without graph breaks, and the gradient is the same."""
    run_plain("""
        import torch
        from foveal.sampler import sample
        images = [torch.randint(0, 256, (h, w, 3), dtype=torch.uint8) for h, w in ((9, 7), (1, 1), (20, 30))]
        grid = (torch.rand(3, 4, 5, 2, dtype=torch.float64) - 0.5).requires_grad_()
        normal = dict(mean=(0.5, 0.4, 0.3), std=[0.2, 0.3, 0.4], dtype=torch.float16, channels_last=True)
        for form in (dict(antialias=False), normal):
            loss = lambda g: sample(images, g, **form).square().sum()
            grid.grad = None
            torch.compile(loss, fullgraph=True)(grid).backward()
            compiled, grid.grad = grid.grad, None
            loss(grid).backward()
            torch.testing.assert_close(compiled, grid.grad)
    """)


@pytest.mark.gpu
@either
def test_cuda_equals_cpu(antialias):
    """Plain torch on the device equals the kernel, gradient included."""
    images = [noise(9, 7), noise(1, 1), noise(30, 20)]
    here = wild_grid(3, 4, 5, reach=0.9).requires_grad_()
    there = here.detach().cuda().requires_grad_()
    sample(images, here, antialias=antialias).square().sum().backward()
    pixels = sample([image.cuda() for image in images], there, antialias=antialias)
    pixels.square().sum().backward()

    check_close(pixels, sample(images, here, antialias=antialias), 1e-10)
    check_close(there.grad, here.grad, 1e-10)
