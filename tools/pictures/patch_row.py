"""The row of one image whose patches were chosen."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler import UniformSampler
from foveal.tools.pictures.sheet import SheetRow, as_picture

PATCH_TITLES = ("Original, and its patches", "Scores", "Uniform resize", "Patches")


def patch_row(
    original: UInt8[Tensor, "height width 3"],
    patches: Float[Tensor, "k 3 side side"],
    *,
    scores: Float[np.ndarray, "rows cols"],
    corners: Float[np.ndarray, "k 4"],
    even: int,
    caption: Sequence[str],
) -> SheetRow:
    """Return the row of one image: its patches side by side, each framed as in the original.

    Args:
        original: The whole image.
        patches: Cut out of it, in [0, 1].
        scores: The scores by which they were chosen.
        corners: Where they lie: (x0, y0, x1, y1) in pixels of the original.
        even: Height and width of the uniform resize beside them, in pixels.
        caption: The first part of the caption, before the sizes.
    """
    height, width, _ = original.shape
    count, _, side, _ = patches.shape
    return SheetRow(
        original=original.numpy(),
        grid=None,
        saliency=scores,
        saliency_frame="cells",
        uniform=as_picture(UniformSampler(even)([original]).images[0]),
        zoomed=side_by_side(patches),
        caption="   ".join([*caption, f"{width} × {height} → {count} × {side} × {side} as they are"]),
        boxes=corners,
        zoomed_boxes=frames_side_by_side(count, side),
        kept=range(count),
    )


def side_by_side(patches: Float[Tensor, "k 3 side side"]) -> Float[np.ndarray, "height width 3"]:
    """Return one picture with the patches in rows, in their order; the rest of the last row is white."""
    count, _, side, _ = patches.shape
    cols = _cols(count)
    picture = np.ones((-(-count // cols) * side, cols * side, 3), np.float32)
    for number, patch in enumerate(patches):
        row, col = divmod(number, cols)
        picture[row * side : (row + 1) * side, col * side : (col + 1) * side] = as_picture(patch)
    return picture


def frames_side_by_side(count: int, side: int) -> Float[np.ndarray, "k 4"]:
    """Return where each patch lies in that picture, a pixel further in, so that the frames of neighbours do not overlap."""
    corners = np.array([divmod(number, _cols(count))[::-1] for number in range(count)], np.float32) * side
    return np.concatenate([corners + 1, corners + side - 1], 1)


def _cols(count: int) -> int:
    return math.isqrt(count - 1) + 1
