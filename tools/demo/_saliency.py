"""The demo of the zoom: the original with the grid, the saliency, a uniform resize, the zoomed image."""

from foveal.sampler import SaliencySampler, SpectralSaliency, UniformSampler
from foveal.shards import Shards
from foveal.tools.console.sampler_code import sampler_code
from foveal.tools.console.zoom_choice import UNTRAINED
from foveal.tools.demo._shown import DemoZoom, Picked
from foveal.tools.pictures.magnification import magnification
from foveal.tools.pictures.originals import caption_facts, read_originals
from foveal.tools.pictures.sheet import TITLES, SheetRow, as_picture


def _row(shards: Shards, sample: Picked, out_size: int) -> SheetRow:
    """Return a row of the sheet: a sample as the loader delivered it, beside its original."""
    [original] = read_originals(shards, [sample.ordinal])
    grid = sample.grid.numpy(force=True)
    height, width, _ = original.shape
    facts = [
        *caption_facts(shards, sample.ordinal),
        f"{width} × {height} → {out_size} × {out_size}",
        f"zooms in up to {magnification(grid):.1f}×",
    ]
    return SheetRow(
        original=original.numpy(),
        grid=grid,
        saliency=sample.saliency[0].numpy(force=True),
        uniform=as_picture(UniformSampler(out_size)([original]).images[0]),
        zoomed=as_picture(sample.image),
        caption="   ".join(facts),
    )


def _build(out_size: int) -> SaliencySampler:
    return SaliencySampler(out_size, saliency=SpectralSaliency(), **UNTRAINED)


def _code(out_size: int) -> str:
    return sampler_code(out_size, "SpectralSaliency()", UNTRAINED)


SALIENCY = DemoZoom(
    build=_build, names="SaliencySampler, SpectralSaliency", code=_code, titles=TITLES, row=_row
)
