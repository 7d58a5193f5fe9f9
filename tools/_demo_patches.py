"""The demo's patches: the original with their frames, scores, uniform resize, the patches at full resolution."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler import PatchSampler, SpectralSaliency, UniformSampler
from foveal.shards import Shards
from foveal.tools._demo_zoom import DemoZoom, Picked
from foveal.tools._originals import caption_facts, read_originals
from foveal.tools._patch_frames import patch_frames
from foveal.tools._sheet import SheetRow, as_picture


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
        scores: What they were chosen by.
        corners: Where they lie: (x0, y0, x1, y1) in pixels of the original.
        even: Height and width of the uniform resize beside them, in pixels.
        caption: What stands above the row before the sizes.
    """
    height, width, _ = original.shape
    count, _, side, _ = patches.shape
    return SheetRow(
        original=original.numpy(),
        grid=None,
        saliency=scores,
        uniform=as_picture(UniformSampler(even)([original]).images[0]),
        zoomed=side_by_side(patches),
        caption="   ".join([*caption, f"{width} × {height} → {count} × {side} × {side} as they are"]),
        boxes=corners,
        zoomed_boxes=frames_side_by_side(count, side),
        kept=range(count),
    )


def _row(shards: Shards, sample: Picked, size: int) -> SheetRow:
    [original] = read_originals(shards, [sample.ordinal])
    height, width, _ = original.shape
    return patch_row(
        original,
        sample.image,
        scores=sample.saliency[0].numpy(force=True),
        corners=patch_frames(sample.grid, (height, width)),
        even=size,
        caption=caption_facts(shards, sample.ordinal),
    )


def side_by_side(patches: Float[Tensor, "k 3 side side"]) -> Float[np.ndarray, "height width 3"]:
    """Return one picture, by rows, in the order of the patches; white where there are none left."""
    count, _, side, _ = patches.shape
    cols = _cols(count)
    picture = np.ones((-(-count // cols) * side, cols * side, 3), np.float32)
    for number, patch in enumerate(patches):
        row, col = divmod(number, cols)
        picture[row * side : (row + 1) * side, col * side : (col + 1) * side] = as_picture(patch)
    return picture


def frames_side_by_side(count: int, side: int) -> Float[np.ndarray, "k 4"]:
    """Return where each patch lies in that picture, a pixel inside, so that neighbours' frames do not hide each other."""
    corners = np.array([divmod(number, _cols(count))[::-1] for number in range(count)], np.float32) * side
    return np.concatenate([corners + 1, corners + side - 1], 1)


def _cols(count: int) -> int:
    return math.isqrt(count - 1) + 1


# Sixteen by sixteen cells: coarser than a network's, so that the best four are four places and not one.
PATCHES = DemoZoom(
    build=lambda size: PatchSampler(4, size // 2, score=SpectralSaliency((16, 16))),
    names="PatchSampler, SpectralSaliency",
    code=lambda size: f"PatchSampler(4, {size} // 2, score=SpectralSaliency((16, 16)))",
    titles=("Original, and its patches", "Scores", "Uniform resize", "Patches"),
    row=_row,
)
