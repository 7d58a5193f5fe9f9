"""Small copies of dense floating-point images on the CPU: numba's kernel, shared out among threads."""

import functools
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from foveal.sampler.threads import spread_rows

Filter = Literal["triangle", "area"]
Sums = tuple[NDArray[np.int64], NDArray[np.floating]]
"""Where each sum begins and how many terms it has (2, sums), and their weights (sums, most terms)."""


def shrink_on_cpu(
    dense: Float[Tensor, "batch channel _height _width"],
    small: Float[Tensor, "batch channel height width"],
    kind: Filter,
) -> None:
    """Fill ``small``, of the images' dtype.

    ``"triangle"`` is what ``interpolate(mode="bilinear", antialias=True)`` does, ``"area"`` is ``adaptive_avg_pool2d``.
    """
    from foveal.sampler.kernels.cpu._resample import resample_into  # noqa: PLC0415 - numba is loaded by the first call

    (height, width), (rows, cols) = dense.shape[2:], small.shape[2:]
    planes = dense.contiguous().view(-1, height, width).numpy()
    into = small.view(-1, rows, cols).numpy()
    of = _triangle if kind == "triangle" else _area
    down, across = of(height, rows, planes.dtype.name), of(width, cols, planes.dtype.name)
    spread_rows(lambda k, some: resample_into(planes[k], down, across, into[k], some), len(planes), rows)


@functools.lru_cache(maxsize=64)
def _triangle(pixels: int, cells: int, dtype: str) -> Sums:
    scale = max(pixels / cells, 1.0)
    centre = (np.arange(cells) + 0.5) * (pixels / cells)
    first = np.maximum((centre - scale + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + scale + 0.5).astype(np.int64), pixels)
    off = first[:, None] + np.arange(int((last - first).max())) + 0.5 - centre[:, None]
    return _normalised(first, last, np.maximum(1 - np.abs(off) / scale, 0), dtype)


@functools.lru_cache(maxsize=64)
def _area(pixels: int, cells: int, dtype: str) -> Sums:
    cell = np.arange(cells)
    first, last = cell * pixels // cells, -(-(cell + 1) * pixels // cells)
    return _normalised(first, last, np.ones((cells, int((last - first).max()))), dtype)


def _normalised(
    first: NDArray[np.int64], last: NDArray[np.int64], weights: NDArray[np.float64], dtype: str
) -> Sums:
    counts = last - first
    kept = weights * (np.arange(weights.shape[1]) < counts[:, None])
    return np.stack([first, counts]), (kept / kept.sum(axis=1, keepdims=True)).astype(dtype)
