"""The demo's patches: the original with their frames, scores, uniform resize, the patches at full resolution."""

import math

import numpy as np
from jaxtyping import Float
from torch import Tensor

from foveal.sampler import PatchSampler, SpectralSaliency, UniformSampler
from foveal.shards import Shards
from foveal.tools._demo_zoom import DemoZoom, Picked
from foveal.tools._originals import caption_facts, read_originals
from foveal.tools._patch_frames import patch_frames
from foveal.tools._sheet import SheetRow, as_picture


def _row(shards: Shards, sample: Picked, size: int) -> SheetRow:
    """Return a row of the contact sheet: the patches of a sample side by side, each framed as in its original."""
    [original] = read_originals(shards, [sample.ordinal])
    height, width, _ = original.shape
    count, _, side, _ = sample.image.shape
    facts = [
        *caption_facts(shards, sample.ordinal),
        f"{width} × {height} → {count} × {side} × {side} as they are",
    ]
    return SheetRow(
        original=original.numpy(),
        grid=None,
        saliency=sample.saliency[0].numpy(force=True),
        uniform=as_picture(UniformSampler(size)([original]).images[0]),
        zoomed=side_by_side(sample.image),
        caption="   ".join(facts),
        boxes=patch_frames(sample.grid, (height, width)),
        zoomed_boxes=frames_side_by_side(count, side),
        kept=range(count),
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
