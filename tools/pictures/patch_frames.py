"""Where patches lie in their original."""

import numpy as np
from jaxtyping import Float
from torch import Tensor


def patch_frames(grid: Float[Tensor, "k side side 2"], size: tuple[int, int]) -> Float[np.ndarray, "k 4"]:
    """Return the patches' outlines: (x0, y0, x1, y1) in pixels of an original of this (height, width)."""
    side = grid.shape[1]
    middle = (grid.mean((1, 2)).numpy(force=True) + 1) / 2 * np.array(size[::-1], np.float32)
    return np.concatenate([middle - side / 2, middle + side / 2], 1).astype(np.float32)
