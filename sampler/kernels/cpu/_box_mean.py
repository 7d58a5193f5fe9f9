"""The CPU kernel of `lowres`: the mean over a box of whole pixels, eight rows of it at most."""

# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels.cpu._compiled import compiled

Pixels = NDArray[np.uint8]
Sums = NDArray[np.uint16]
Reals = NDArray[np.float32]


@compiled
@no_type_check
def box_mean_into(image: Pixels, small: Reals) -> None:
    """Write ``small`` (3, h, w) in [0, 1] from ``image`` (H, W, 3), contiguous.

    Eight rows are summed over the whole width before anything is divided among the columns: that sum runs in vector
    registers at the speed of memory, where adding up cell by cell is four times slower.
    """
    height, width = image.shape[0], image.shape[1]
    rows, cols = small.shape[1], small.shape[2]
    flat = image.reshape(height, width * 3)
    total = np.empty(width * 3, np.uint16)
    for i in range(rows):
        _sum_eight_rows(flat, i * height // rows, (i + 1) * height // rows, total)
        for j in range(cols):
            left, right = j * width // cols, (j + 1) * width // cols
            red, green, blue = np.uint32(0), np.uint32(0), np.uint32(0)
            for t in range(3 * left, 3 * right, 3):
                red += total[t]
                green += total[t + 1]
                blue += total[t + 2]
            scale = 1 / (8 * 255 * (right - left))
            small[0, i, j], small[1, i, j], small[2, i, j] = red * scale, green * scale, blue * scale


@compiled
@no_type_check
def _sum_eight_rows(flat: Pixels, top: int, bottom: int, total: Sums) -> None:
    """Sum the rows at the centres of eight equal parts of [top, bottom); fewer than eight rows count repeatedly."""
    tall = bottom - top
    a, b, c, d = (flat[top + tall // 16], flat[top + 3 * tall // 16], flat[top + 5 * tall // 16], flat[top + 7 * tall // 16])  # fmt: skip
    e, f, g, h = (flat[top + 9 * tall // 16], flat[top + 11 * tall // 16], flat[top + 13 * tall // 16], flat[top + 15 * tall // 16])  # fmt: skip
    for t in range(total.size):
        total[t] = (
            np.uint16(a[t]) + np.uint16(b[t]) + np.uint16(c[t]) + np.uint16(d[t])
            + np.uint16(e[t]) + np.uint16(f[t]) + np.uint16(g[t]) + np.uint16(h[t])
        )  # fmt: skip
