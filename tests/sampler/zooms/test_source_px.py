"""`source_px`: a copy of this size shows what the original shows."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from foveal.sampler import FixedSaliency, MixedResolution, SaliencySampler, UniformSampler

OUT = 32
BUMP = torch.ones(31)
BUMP[12:19] = 40
BINDING = {"saliency": FixedSaliency(torch.outer(BUMP, BUMP)), "family": "cdf"}


def stripes(side, period, down):
    """Return a JPEG of stripes with this period in pixels, vertical or horizontal."""
    along = 128 + 100 * np.sin(2 * np.pi * (np.arange(side) + 0.5) / period + 0.7)
    across = np.broadcast_to(along, (side, side))
    file = io.BytesIO()
    Image.fromarray((across.T if down else across).round().astype(np.uint8)).save(file, "jpeg", quality=98)
    return file


def decoded(file, divisor):
    """Return the image as libjpeg decodes it at 1/1, 1/2, 1/4 or 1/8."""
    image = Image.open(file)
    side = image.width // divisor
    image.draft("L", (side, side))
    assert image.size == (side, side)
    return torch.tensor(np.asarray(image.convert("RGB")))


def contrast(zoom, image):
    """Return the standard deviation of the middle of the zoomed image, where the bound acts."""
    middle = slice(OUT // 2 - 3, OUT // 2 + 3)
    return float(zoom([image]).images[0, 0, middle, middle].std())


def kept(zoom, px_per_px, magnified, down):
    """Return the share of contrast that a copy keeps, for stripes of 0.4 to an output pixel."""
    side = 8 * round(px_per_px * magnified * OUT)
    file = stripes(side, side / OUT / magnified / 0.4, down)
    return contrast(zoom, decoded(file, 8)) / contrast(zoom, decoded(file, 1))


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(
    ("zoom", "magnified"),
    [
        (UniformSampler(OUT), 1),
        (SaliencySampler(OUT, saliency=FixedSaliency(torch.ones(5, 5)), max_zoom=1.0), 1),
        (SaliencySampler(OUT, max_zoom=2.0, **BINDING), 2),
        (SaliencySampler(OUT, max_zoom=4.0, **BINDING), 4),
    ],
)
def test_a_copy_of_that_size_keeps_nine_tenths_of_the_contrast(zoom, magnified, down):
    """It does so for the finest stripes that an output shows well; a copy of half the size keeps less."""
    sides = zoom.source_px[0] / magnified / OUT

    assert min(kept(zoom, factor * sides, magnified, down) for factor in (1.0, 1.13)) > 0.9
    assert kept(zoom, 1.13 / 2 * sides, magnified, down) < 0.8


@pytest.mark.parametrize(
    "zoom",
    [
        UniformSampler(OUT, antialias=False),
        SaliencySampler(OUT, max_zoom=2.0, antialias=False),
        MixedResolution(4, refined=2, antialias=False),
    ],
)
def test_points_have_no_bound(zoom):
    """Without anti-aliasing there is no bound, as a point may fall on any source pixel."""
    assert zoom.source_px is None


def test_lines_along_a_diagonal_ridge():
    """A copy of this size shows the lines along a diagonal ridge, where magnification is highest."""
    i, j = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    ridge = FixedSaliency(torch.exp(-((i - j) ** 2) / 2) + 0.005)
    zoom = SaliencySampler(64, saliency=ridge, max_zoom=2.0)
    loose = SaliencySampler(64, saliency=ridge, max_zoom=2.0, bound="axes")
    side = 8 * zoom.source_px[0]
    y, x = np.mgrid[:side, :side]
    lines = 128 + 100 * np.sign(np.sin(2 * np.pi * (x - y) / 2**0.5 * 2 * 0.4 / (side / 64)))
    file = io.BytesIO()
    Image.fromarray(lines.astype(np.uint8)).save(file, "jpeg", quality=97)
    full, copy = decoded(file, 1), decoded(file, 8)

    def copied(sampler):
        return sampler([copy]).images.std() / sampler([full]).images.std()

    assert copied(zoom) > 0.89
    assert copied(loose) < 0.87
