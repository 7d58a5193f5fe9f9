"""Gradients of anti-aliased sampling, and its form in plain torch."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import sample, zoom_grid
from foveal.sampler.kernels.plain import average_dense, footprints_to_grid, to_footprints, to_images
from foveal.sampler.threads import spread_over
from tests.checks import check_close
from tests.sampler.kernels.bent import sizes, wavy
from tests.sampler.noise import noise


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
