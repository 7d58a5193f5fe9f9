"""How much a grid magnifies."""

import numpy as np
from jaxtyping import Float


def local_zoom(grid: Float[np.ndarray, "height width 2"]) -> tuple[float, float]:
    """Return the largest and the smallest local magnification of lengths by a grid: 1 for an even grid, 2 where a cell has a quarter of the area."""
    height, width, _ = grid.shape
    if min(height, width) < 2:
        return 1.0, 1.0
    across, down = np.diff(grid, axis=1)[:-1], np.diff(grid, axis=0)[:, :-1]
    area = np.abs(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0])
    even = 4 / (height * width)
    largest, smallest = (float(np.sqrt(even / max(extent, 1e-12))) for extent in (area.min(), area.max()))
    return largest, smallest


def magnification(grid: Float[np.ndarray, "height width 2"]) -> float:
    """Return the largest local magnification of lengths by a grid."""
    return local_zoom(grid)[0]
