"""``bits=16``: images of more than 8 bits are sampled with 16 bits."""

import io
import re

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline import Augment, ZoomLoader
from foveal.pipeline.copies import Copies
from foveal.pipeline.copies._halves import halves, joined
from foveal.sampler import SaliencySampler, SpectralSaliency, UniformSampler, Zoomed, sample
from tests.pipeline.making import encode, picture


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6), st.booleans())
def test_halves_add_up(height, width, seed, antialias):
    """Sampling both bytes separately and adding equals sampling in floating point."""
    pixels = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 65536, (height, width, 3), dtype=np.uint16)
    )
    grid = torch.rand(1, 4, 5, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    dense = (pixels.to(torch.float64) / 65535).permute(2, 0, 1)[None]
    whole = sample(dense, grid.double(), antialias=False)

    high, low = halves([pixels])
    both = joined(sample(high, grid, antialias=False), sample(low, grid, antialias=False))

    assert float((both - whole).abs().max()) < 1e-5
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    form = {"mean": mean, "std": std, "antialias": antialias}
    plain = joined(sample(high, grid, antialias=antialias), sample(low, grid, antialias=antialias))
    normal = joined(sample(high, grid, **form), sample(low, grid, **form))
    expected = (plain - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    assert float((normal - expected).abs().max()) < 1e-5


def tiff(values) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="rgb")
    return file.getvalue()


FILES = {
    "dali": tiff,
    "png": imagecodecs.png_encode,
    "helper": lambda values: imagecodecs.jpeg2k_encode(values, level=0, codecformat="jp2"),
    "float": lambda values: tiff((values / 65535).astype(np.float32)),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("window", [None, (1000, 30_000)])
def test_the_loader_keeps_sixteen_bits(write_shard, kind, window):
    """Pixels are right to a 16-bit level with bits=16, and to an 8-bit level without, for every decoder."""
    values = np.random.default_rng(0).integers(0, 65536, (24, 40, 3), dtype=np.uint16)
    scaled = window if window is None or kind != "float" else tuple(end / 65535 for end in window)
    shard = write_shard([{"__key__": "a", "tif": FILES[kind](values)}])
    low, high = window or (0, 65535)
    light = ((values - float(low)) / (high - low)).clip(0, 1)

    for bits in (8, 16):
        zoom = UniformSampler((24, 40), antialias=False)
        with ZoomLoader(shard, zoom, batch_size=1, fields=("tif",), window=scaled, bits=bits) as loader:
            [(images,)] = loader
        off = np.abs(images[0].permute(1, 2, 0).numpy() - light).max()
        assert off < (0.6 / 255 if bits == 8 else 1.1 / 65535)
        assert bits == 16 or off > 0.3 / 255


def test_deep_and_plain_images_in_one_batch(write_shard):
    """The grid, also with views, does not depend on the bits beyond rounding."""
    values = (picture(1, 200, 300).astype(np.uint16)) * 257
    shard = write_shard(
        [
            {"__key__": "a", "tif": tiff(values), "cls": 0},
            {"__key__": "b", "tif": encode(picture(2, 150, 220), "PNG"), "cls": 1},
        ]
    )
    zoom = SaliencySampler(24, saliency=SpectralSaliency(), lowres_size=(32, 32))
    batches = []
    for bits in (8, 16):
        options = {"augment": Augment(hflip=0.5, rotate_deg=10), "bits": bits}
        with ZoomLoader(shard, zoom, batch_size=2, fields=("tif", "__grid__"), **options) as loader:
            batches += list(loader)
    (plain, grid), (deep, same) = batches

    assert float((grid - same).abs().max()) < 1e-4
    assert float((plain - deep).abs().max()) < 1e-3


def test_a_zoom_that_draws_at_random():
    """A zoom that draws at random is refused, because both bytes need the same grid; the message says what to do."""

    class Random(torch.nn.Module):
        def forward(self, images, lowres=None):
            grid = torch.rand(1, 2, 2, 2) * 2 - 1
            return Zoomed(sample(images, grid), grid, torch.ones(1, 1, 1, 1))

    copies = Copies([None], [torch.zeros(4, 5, 3, dtype=torch.uint16)], takes_views=False)
    message = "bits must be 8 for a zoom that draws at random, or looks at its images themselves instead of lowres, got 16"
    with pytest.raises(ValueError, match=re.escape(message)):
        copies.zoom(Random(), None)


def test_bits_are_checked(write_shard):
    """Values of bits other than 8 and 16 are refused."""
    with pytest.raises(ValueError, match=re.escape("bits must be 8 or 16, got 12.")):
        ZoomLoader("nowhere.tar", UniformSampler(8), batch_size=1, bits=12)
