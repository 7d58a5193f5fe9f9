"""`lowres` on the CPU: the mean over each cell."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.threads import spread_rows


def fill_lowres_on_cpu(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    """Fill ``small``, in [0, 1]."""
    whole = [image.contiguous().numpy() for image in images]
    height, width = small.shape[2:]
    flat = small.view(len(images), small[0:1].numel()).numpy()
    spread_rows(lambda k, rows: _average_cells(whole[k], flat[k], height, width, rows), len(images), height)


def _average_cells(image: Any, small: Any, height: int, width: int, rows: tuple[int, int]) -> None:
    from foveal.sampler.kernels.cpu._separable import lay_cells, separable_into  # noqa: PLC0415 - numba is loaded by the first call

    as_they_are = np.array([[1] * 3, [0] * 3], np.float32)
    places = np.empty((2, height + width), np.int64)
    parts = np.empty((3, height + width), np.float32)
    lay_cells(height, image.shape[0], 0, places, parts)
    lay_cells(width, image.shape[1], height, places, parts)
    separable_into(image, places, parts, small, as_they_are, False, height, rows)
