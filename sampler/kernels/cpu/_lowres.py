"""`lowres` on the CPU: the mean over each cell."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.threads import spread_rows


def fill_lowres_on_cpu(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    """Fill ``small``, in [0, 1]."""
    from foveal.sampler.kernels.cpu._separable import lay_cells, separable_into  # noqa: PLC0415 - numba is loaded by the first call

    whole = [image.contiguous().numpy() for image in images]
    flat, as_they_are = (
        small.view(len(images), small[0:1].numel()).numpy(),
        np.array([[1] * 3, [0] * 3], np.float32),
    )
    height, width = small.shape[2:]

    def work(k: int, rows: tuple[int, int]) -> None:
        places = np.empty((2, height + width), np.int64)
        parts = np.empty((3, height + width), np.float32)
        lay_cells(height, whole[k].shape[0], 0, places, parts)
        lay_cells(width, whole[k].shape[1], height, places, parts)
        separable_into(whole[k], places, parts, flat[k], as_they_are, False, height, rows)

    spread_rows(work, len(images), height)
