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
from foveal.sampler import (
    EvidenceTeacher,
    MixedResolution,
    PatchSampler,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    Zoomed,
    ZoomTrial,
    lowres,
    sample,
)
from tests.pipeline.making import encode, picture


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6), st.booleans())
def test_sixteen_bits_are_sampled(height, width, seed, antialias):
    """Sampling images of 16 bits equals sampling in floating point."""
    pixels = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 65536, (height, width, 3), dtype=np.uint16)
    )
    grid = torch.rand(1, 4, 5, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    dense = (pixels.to(torch.float64) / 65535).permute(2, 0, 1)[None]
    whole = sample(dense, grid.double(), antialias=False)

    found = sample([pixels], grid, antialias=False)

    assert float((found - whole).abs().max()) < 1e-5
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    form = {"mean": mean, "std": std, "antialias": antialias}
    plain, normal = sample([pixels], grid, antialias=antialias), sample([pixels], grid, **form)
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


@pytest.mark.parametrize(
    "zoom",
    [
        SaliencySampler(12, saliency=SpectralSaliency(), lowres_size=(16, 16)),
        SaliencySampler(
            12, saliency=SpectralSaliency(), antialias=False, max_zoom=None, compat="torch13plus"
        ),
        UniformSampler((9, 7)),
        PatchSampler(2, 8, lowres_size=64),
        MixedResolution((2, 2), patch_size=4, refined=1, lowres_size=(16, 16)),
    ],
    ids=lambda zoom: type(zoom).__name__,
)
def test_every_zoom_takes_sixteen_bits(zoom):
    """Images of 16 bits are zoomed like the same numbers in floating point, where their lower bytes matter."""
    values = np.random.default_rng(3).integers(20_000, 20_256, (40, 56, 3), dtype=np.uint16)
    dense = (torch.from_numpy(values.astype(np.float32)) / 65535).permute(2, 0, 1)[None]
    small = (
        lowres([torch.from_numpy(values)], zoom.lowres_size or 16)
        if getattr(zoom, "takes_lowres", True)
        else None
    )
    deep = zoom.eval()([torch.from_numpy(values)], small)
    whole = zoom(dense, small)

    assert float((deep.images - whole.images).abs().max()) < 2e-5
    assert float((deep.grid - whole.grid).abs().max()) < 1e-4
    assert float(deep.images.std()) > 1e-4


def test_copies_of_sixteen_bits():
    """The low-resolution copy is the mean of the levels."""
    values = np.random.default_rng(4).integers(0, 65536, (32, 48, 3), dtype=np.uint16)
    found = lowres([torch.from_numpy(values)], (8, 12))[0].permute(1, 2, 0).numpy()

    assert np.abs(found - values.reshape(8, 4, 12, 4, 3).mean((1, 3)) / 65535).max() < 1e-6


def test_training_with_sixteen_bits(write_shard):
    """The zoom is on trial and is taught as with 8 bits: with images that are 8 bits times 257, the weights end alike."""
    shard = write_shard(
        [
            {"__key__": f"{k}", "tif": tiff(picture(k, 40, 60).astype(np.uint16) * 257), "cls": k % 2}
            for k in range(8)
        ]
    )
    plain, deep = (_trained(shard, bits) for bits in (8, 16))

    assert plain.keys() == deep.keys()
    assert max(float((plain[name] - deep[name]).abs().max()) for name in plain) < 1e-3


def _trained(shard, bits):
    torch.manual_seed(0)
    zoom = SaliencySampler(16)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    trial = ZoomTrial(zoom, steps=2)
    teacher = EvidenceTeacher(zoom)
    optimizer = torch.optim.SGD([*model.parameters(), *zoom.parameters()], lr=0.1)
    with ZoomLoader(shard, zoom, batch_size=4, fields=("tif", "cls"), bits=bits) as loader:
        for _ in range(2):
            for images, labels in loader:
                losses = torch.nn.functional.cross_entropy(model(images), labels, reduction="none")
                trial.observe(losses)
                teacher.observe(losses)
                losses.mean().backward()
                optimizer.step()
                optimizer.zero_grad()
    assert trial.helps is not None
    return {name: value.clone() for name, value in zoom.state_dict().items()}


def test_a_zoom_that_draws_at_random():
    """A zoom that draws at random is refused, because both bytes need the same grid; the message says what to do."""

    class Random(torch.nn.Module):
        def forward(self, images, lowres=None):
            grid = torch.rand(1, 2, 2, 2) * 2 - 1
            return Zoomed(sample(images, grid), grid, torch.ones(1, 1, 1, 1))

    copies = Copies([None], [torch.zeros(4, 5, 3, dtype=torch.uint16)], takes_views=False)
    message = (
        "bits must be 8 for a zoom that draws at random, or looks at its images themselves instead of lowres, got 16 – "
        "put it in eval mode, or say takes_deep = True if it takes uint16."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        copies.zoom(Random(), None)


def test_bits_are_checked(write_shard):
    """Values of bits other than 8 and 16 are refused."""
    with pytest.raises(ValueError, match=re.escape("bits must be 8 or 16, got 12.")):
        ZoomLoader("nowhere.tar", UniformSampler(8), batch_size=1, bits=12)
