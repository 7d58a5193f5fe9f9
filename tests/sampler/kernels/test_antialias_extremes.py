"""Anti-aliased sampling at wild points, at the end of memory, of footprints far apart, and in threads."""

import ctypes
import mmap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import lowres, sample
from tests.checks import check_close
from tests.sampler.kernels.bent import identity, sizes, wavy, with_slope
from tests.sampler.noise import noise


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
