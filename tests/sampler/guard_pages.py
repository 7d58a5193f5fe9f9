"""Samples images, and inverts grids, that lie between pages that nobody may read: ``python -m tests.sampler.guard_pages CASES [beyond]``.

A kernel that reads a byte before an array or behind it ends the process. With ``beyond``, this does so itself.
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from foveal.sampler import lowres, sample
from foveal.sampler.grids._kept import Bounds
from foveal.sampler.grids._tightest import tightest
from foveal.sampler.labels._inverse_map import to_output
from foveal.sampler.labels._warp_map import warp_nodes

_PAGE = mmap.PAGESIZE
_ANONYMOUS = 0x22  # MAP_PRIVATE | MAP_ANONYMOUS
_ALL = 3  # PROT_READ | PROT_WRITE


@contextmanager
def guarded(values: np.ndarray, *, at_end: bool) -> Iterator[torch.Tensor]:
    """Return a copy that ends at a forbidden page, or begins after one."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]  # fmt: skip
    libc.mprotect.argtypes, libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int], [ctypes.c_void_p, ctypes.c_size_t]  # fmt: skip
    held = -(-values.nbytes // _PAGE) * _PAGE
    begin = libc.mmap(None, held + 2 * _PAGE, _ALL, _ANONYMOUS, -1, 0)
    for page in (begin, begin + _PAGE + held):
        libc.mprotect(page, _PAGE, 0)
    first = begin + _PAGE + (held - values.nbytes if at_end else 0)
    copy = np.frombuffer((ctypes.c_uint8 * values.nbytes).from_address(first), values.dtype)
    copy[:] = values.ravel()
    yield torch.from_numpy(copy).reshape(values.shape)
    libc.munmap(begin, held + 2 * _PAGE)


def grid_of(rng: np.random.Generator) -> torch.Tensor:
    """Return a bent grid, near the image or far from it, torn or with a NaN point."""
    rows, cols = (int(rng.choice([1, 2, 8, 9, 17, rng.integers(1, 40)])) for _ in range(2))
    even = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 3, rows, cols], align_corners=False)
    noise = torch.from_numpy(rng.normal(size=(1, 2, 3, 3))).float()
    bend = torch.nn.functional.interpolate(noise, (rows, cols), mode="bicubic", align_corners=False)
    grid = rng.choice([0.03, 0.3, 1, 1.5]) * even + rng.choice([0.01, 0.1, 0.5, 2]) * bend.permute(0, 2, 3, 1)
    grid += rng.choice([0, 0, 1, -3])
    if rng.random() < 0.05:
        grid[0, rng.integers(rows), rng.integers(cols)] = torch.nan
    return grid.float()


def invert(rng: np.random.Generator, *, at_end: bool) -> None:
    """Send points, some of them NaN, back through any grid that does not fold."""
    rows, cols = (int(rng.choice([1, 2, 3, rng.integers(1, 40)])) for _ in range(2))
    grid = (
        np.sort(rng.normal(size=(1, rows, cols)), axis=2),
        np.sort(rng.normal(size=(1, rows, cols)), axis=1),
    )
    points = rng.choice([1.0, 3.0, np.nan, np.inf, -np.inf], (2, 1, 7, 5), p=[0.4, 0.4, 0.1, 0.05, 0.05])
    points *= rng.normal(size=points.shape)
    with guarded(np.stack(grid, axis=-1), at_end=at_end) as whole:
        nodes = warp_nodes(whole)
        if min(rows, cols) > 1:
            every = torch.arange(rows - 1), torch.arange(cols - 1)
            tightest(whole, every, (cols / 2, rows / 2), Bounds(0.5, 2.0))
    with (
        guarded(nodes.numpy(), at_end=at_end) as held,
        guarded(points[0, ..., 0], at_end=at_end) as x,
        guarded(points[1], at_end=at_end) as y,
    ):
        to_output(held, x, y)


def sample_dense(rng: np.random.Generator, size: tuple[int, int], *, at_end: bool) -> None:
    """Shrink a floating-point image, average it over a grid, and compute the gradients of image and grid."""
    values = rng.random((1, int(rng.integers(1, 6)), *size), dtype=np.float32)
    grid = grid_of(rng)
    with (
        guarded(values, at_end=at_end) as image,
        guarded(grid.numpy(), at_end=at_end) as points,
    ):
        lowres(image, (int(rng.integers(1, 9)), int(rng.integers(1, 9))))
        sample(image.requires_grad_(), points.requires_grad_()).sum().backward()


def main(cases: int, *, beyond: bool) -> None:
    """Sample this many images, every second one with derivatives."""
    rng = np.random.default_rng(0)
    for case in range(cases):
        height, width = (int(rng.choice([1, 2, 3, 7, 8, 9, 31, rng.integers(1, 130)])) for _ in range(2))
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        with guarded(pixels, at_end=case % 4 < 2) as image:
            if beyond:
                ctypes.string_at(image.data_ptr() + image.numel(), 1)
            sample([image], grid_of(rng).requires_grad_(case % 2 == 0), antialias=True)
            sample([image], grid_of(rng), antialias=False)
        invert(rng, at_end=case % 4 < 2)
        sample_dense(rng, (height, width), at_end=case % 4 < 2)
    sys.stdout.write(f"{cases} images\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), beyond="beyond" in sys.argv)
