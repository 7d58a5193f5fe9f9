"""The kernel behind small copies of dense floating-point images: weighted sums along both axes."""

# no_type_check keeps typing tools off functions that the compiler reads: numba has its own types.
from typing import no_type_check

import numpy as np
from numpy.typing import NDArray

from foveal.sampler.kernels.cpu._compiled import compiled

Reals = NDArray[np.floating]
Places = NDArray[np.int64]


@compiled
@no_type_check
def resample_into(
    image: Reals,
    down: tuple[Places, Reals],
    across: tuple[Places, Reals],
    small: Reals,
    rows: tuple[int, int],
) -> None:
    """Write some rows of ``small`` (H, W), sums over ``image`` (h, w): first over rows, whole rows at a time, then along the row.

    ``down`` and ``across`` have for each row, and each column, of ``small`` where its sum begins in the image and how many terms
    it has (2, n), and their weights (n, most terms).
    """
    (begins, row_weights), (places, weights) = down, across
    real, width = small.dtype.type, image.shape[1]
    line = np.empty(width, small.dtype)
    for i in range(rows[0], rows[1]):
        line[:] = real(0)
        for k in range(begins[1, i]):
            source, weight = image[begins[0, i] + k], row_weights[i, k]
            for column in range(width):
                line[column] += weight * source[column]
        for j in range(small.shape[1]):
            total, first = real(0), places[0, j]
            for k in range(places[1, j]):
                total += weights[j, k] * line[first + k]
            small[i, j] = total
