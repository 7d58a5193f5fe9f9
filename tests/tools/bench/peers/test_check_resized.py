"""The check that every loader of ``foveal bench peers`` must pass, and every fault that it must notice."""

import functools
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from foveal.shards import Shards, ShardWriter
from foveal.tools.bench.peers._check_resized import check_resized, resized_originals
from tests.pipeline.making import encode, picture


@pytest.fixture(scope="module")
def images():
    """Return eight different pictures, one of them twice."""
    dense = torch.rand(8, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    smooth = interpolate(dense, (56, 56), mode="bilinear", antialias=True)
    return torch.cat([smooth, smooth[:1]])


def test_any_order_and_any_batches_pass(images):
    """Any order and any batches pass; a picture that is there twice must come twice."""
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))

    assert check_resized(images.split(4), images) == 0
    assert check_resized(images[order].split(2), images) == 0
    assert check_resized([(images + 1 / 255)], images) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: [], "images must be (9, 3, 56, 56) in all, got (0,)."),
        (lambda x: [x[:8]], "images must be (9, 3, 56, 56) in all, got (8, 3, 56, 56)."),
        (lambda x: [x.permute(0, 2, 3, 1)], "images must be (9, 3, 56, 56) in all, got (9, 56, 56, 3)."),
        (lambda x: [(255 * x).byte()], "images must be floating-point, in [0, 1], got torch.uint8."),
        (
            lambda x: [x[[0, 1, 2, 3, 4, 5, 6, 7, 7]]],
            "each image must agree to 4.0 grey levels on average, got a",
        ),
        (lambda x: [x.flip(3)], "each image must agree to 4.0 grey levels on average, got a difference of"),
        (lambda x: [255 * x], "each image must agree to 4.0 grey levels on average, got a difference of"),
        (
            lambda x: [x + 3 / 255],
            "all images must agree to 2.0 grey levels on average, got a difference of 3.0.",
        ),
        (
            lambda x: [x * torch.nan],
            "each image must agree to 4.0 grey levels on average, got a difference of nan.",
        ),
    ],
)
def test_what_is_wrong_is_noticed(images, wrong, message):
    """Each kind of wrong delivery is noticed."""
    with pytest.raises(ValueError, match=re.escape(message)):
        check_resized(wrong(images), images)


SIZES = [8, 16, 32, 64]


@functools.cache
def photograph(seed):
    """Return a picture with strong detail of all sizes, (1, 3, 512, 512) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 3, 512, 512)
    for side in (4, 8, 16, 32, 64, 128, 256, 512):
        grey, colour = (torch.rand(1, planes, side, side, generator=generator) - 0.5 for planes in (1, 3))
        picture += interpolate(grey + colour / 2, (512, 512), mode="bilinear")
    return (0.5 + picture / 3).clamp(0, 1)


@functools.cache
def resized_by(mode, size, *, antialias=False):
    return torch.cat(
        [interpolate(photograph(k), (size, size), mode=mode, antialias=antialias) for k in range(6)]
    )


@pytest.mark.parametrize("size", SIZES)
def test_other_filters_pass_at_any_size(size):
    """Means over footprints, and a sharper filter, pass."""
    expected = resized_by("bilinear", size, antialias=True)

    assert check_resized([resized_by("area", size)], expected) < 6
    assert check_resized([resized_by("bicubic", size, antialias=True)], expected) < 6


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.flip(3),
        lambda x: x.flip(2),
        lambda x: x.flip(1),
        lambda x: x.roll(1, dims=3),
        lambda x: x.roll(-1, dims=2),
        lambda x: x.mT,
        lambda x: x + 3 / 255,
    ],
)
def test_what_is_wrong_is_noticed_at_any_size(size, wrong):
    """A flip, swapped channels, a shift by a pixel, a transposition and another brightness are noticed."""
    expected = resized_by("bilinear", size, antialias=True)

    with pytest.raises(ValueError, match=r"must agree to .* grey levels on average, got a difference of"):
        check_resized([wrong(expected)], expected)


@pytest.mark.parametrize("size", SIZES)
def test_one_point_for_each_pixel_is_noticed_at_any_size(size):
    """A resize without anti-aliasing is noticed."""
    with pytest.raises(ValueError, match=r"must agree to .* grey levels on average, got a difference of"):
        check_resized([resized_by("nearest", size)], resized_by("bilinear", size, antialias=True))


def test_the_originals_are_resized_with_antialiasing(tmp_path):
    """The expected images equal Pillow's resize of the file."""
    file, path = encode(picture(0, 90, 120), quality=95), tmp_path / "a.tar"
    with ShardWriter(path) as writer:
        writer.write({"__key__": "a", "jpg": file})
    pillow = Image.open(io.BytesIO(file)).resize((16, 16), Image.Resampling.BILINEAR)
    [ours] = resized_originals(Shards(path), 16)

    assert np.abs(255 * ours.permute(1, 2, 0).numpy() - np.asarray(pillow)).max() <= 1.01
