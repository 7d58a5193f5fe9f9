"""The demo of patches: the original with a frame for each patch, the scores, a uniform resize, the patches."""

from foveal.sampler import PatchSampler, SpectralSaliency
from foveal.shards import Shards
from foveal.tools.demo._shown import DemoZoom, Picked
from foveal.tools.pictures.originals import caption_facts, read_originals
from foveal.tools.pictures.patch_frames import patch_frames
from foveal.tools.pictures.patch_row import PATCH_TITLES, patch_row
from foveal.tools.pictures.sheet import SheetRow


def _row(shards: Shards, sample: Picked, out_size: int) -> SheetRow:
    [original] = read_originals(shards, [sample.ordinal])
    height, width, _ = original.shape
    return patch_row(
        original,
        sample.image,
        scores=sample.saliency[0].numpy(force=True),
        corners=patch_frames(sample.grid, (height, width)),
        even=out_size,
        caption=caption_facts(shards, sample.ordinal),
    )


# Sixteen by sixteen cells are coarser than a network's map, so that the best four patches lie in different places.
PATCHES = DemoZoom(
    build=lambda out_size: PatchSampler(4, out_size // 2, score=SpectralSaliency((16, 16), frame="cells")),
    names="PatchSampler, SpectralSaliency",
    code=lambda out_size: (
        f"PatchSampler(4, {out_size} // 2, score=SpectralSaliency((16, 16), frame='cells'))"
    ),
    titles=PATCH_TITLES,
    row=_row,
)
