"""decode="auto": JPEGs that libjpeg-turbo decodes, compared with DALI."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from foveal.pipeline import decode, peek
from foveal.pipeline.decoding import ByLibjpeg
from foveal.pipeline.decoding._libjpeg import decode_jpeg
from foveal.pipeline.flow import Buffers
from foveal.sampler import SaliencySampler, UniformSampler, sample
from foveal.shards import Shards
from tests.pipeline.decoding.by_libjpeg import ROOM, WHOLE, Needs, decoded_by_libjpeg, planned
from tests.pipeline.making import encode, picture


def box_mean(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Return the mean over blocks of scale by scale pixels, leaving out incomplete blocks."""
    height, width = (side // scale for side in pixels.shape[:2])
    whole = pixels[: height * scale, : width * scale].astype(np.float64)
    return whole.reshape(height, scale, width, scale, 3).mean(axis=(1, 3))


def grey_levels_apart(small: np.ndarray, pixels: np.ndarray, scale: int) -> float:
    expected = box_mean(pixels, scale)
    return float(np.abs(small[: len(expected), : expected.shape[1]] - expected).mean())


# Height, width, chroma, orientation, and whether it is progressive.
KINDS = (
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from(["4:4:4", "4:2:2", "4:2:0", "L"]),
    st.integers(1, 8),
    st.booleans(),
)


def jpeg(image: Image.Image, chroma: str, orientation: int, **options) -> bytes:
    """Return a JPEG, which is grey if its chroma is "L"."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if chroma == "L":
        return encode(image.convert("L"), exif=exif, **options)
    return encode(image, exif=exif, subsampling=chroma, **options)


@given(*KINDS)
def test_full_scale_is_dali_to_the_bit(height, width, chroma, orientation, progressive):
    """At full scale the pixels are bit-identical to DALI's, for any size, chroma and orientation."""
    image = Image.fromarray(picture(height, height, width))
    file = jpeg(image, chroma, orientation, progressive=progressive)

    scale, pixels = decoded_by_libjpeg(file, WHOLE)

    assert scale == 1
    assert np.array_equal(pixels, decode([file])[0].numpy())


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([2, 4, 8]), st.sampled_from([1, 3, 6]))
def test_scaled_copies_hold_all_of_the_original(height, width, scale, orientation):
    """A block that the original fills in part is a pixel, too, and the copy is upright."""
    smooth = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encode(smooth, exif=exif, quality=95, subsampling="4:4:4")
    full = decode([file])[0].numpy()

    used, small = decoded_by_libjpeg(
        file, Needs(max(1, full.shape[0] // scale), max(1, full.shape[1] // scale))
    )

    assert small.shape == (*(-(-side // used) for side in full.shape[:2]), 3)
    quarter_turns = {1: 0, 3: 2, 6: 1}[
        orientation
    ]  # back to how the file lies: there whole cells begin at the corner
    if min(full.shape[:2]) >= 16:  # of fewer a whole gradient lies within a block
        assert grey_levels_apart(np.rot90(small, quarter_turns), np.rot90(full, quarter_turns), used) < 6


@pytest.mark.parametrize(
    "max_zoom", [2.0, *(pytest.param(most, marks=pytest.mark.slow) for most in (None, 4.0))]
)
def test_photographs_agree_with_dali(data_dir, max_zoom):
    """For real photographs, copies differ by less than a grey level from DALI's pixels averaged to the same size, and pixels
    whose colours are not interpolated by less than that from DALI's; all others do not differ."""
    shards = Shards(
        [str(path) for name in ("photos", "coins") for path in sorted((data_dir / name).glob("*.tar"))]
    )
    zoom = SaliencySampler(224, max_zoom=max_zoom)
    scales = set()
    for ordinal in range(0, len(shards), 8):
        file = shards[ordinal].members["jpg"]
        image = planned(file, zoom)
        pixels = decode_jpeg(image, Buffers(ROOM)).numpy()
        apart = grey_levels_apart(pixels, decode([file])[0].numpy(), image.scale)
        assert apart < (1.0 if image.scale > 1 or not image.smooth_colour else 1e-9), shards.key(ordinal)
        scales.add(image.scale)
    assert scales == {None: {1}, 4.0: {1, 2}, 2.0: {1, 2, 4}}[max_zoom]


def test_the_comparison_notices_another_picture():
    """A copy that is shifted by a pixel, or of another picture, differs by more than a grey level."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    small = box_mean(pixels, 2).round().astype(np.uint8)

    assert grey_levels_apart(small, pixels, 2) < 1
    assert grey_levels_apart(np.roll(small, 1, axis=1), pixels, 2) > 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_coarse_chroma_along_one_axis_counts_as_half_as_wide(orientation):
    """The copy of a 4:2:2 JPEG has as many chroma samples as needed, in every orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encode(Image.fromarray(picture(0, 160, 320)), subsampling="4:2:2", exif=exif)
    upright = (
        (lambda height, width: (height, width)) if orientation == 1 else lambda height, width: (width, height)
    )

    for needed, scale in {(20, 20): 8, (20, 21): 4, (21, 20): 4, (40, 41): 2, (80, 160): 1}.items():
        assert decoded_by_libjpeg(file, Needs(*upright(*needed)))[0] == scale


def test_copies_keep_colours():
    """Coloured stripes as wide as an output pixel keep their contrast; a copy of half the size would lose it."""
    odd = np.arange(256) // 8 % 2 == 1
    stripes = np.where(odd[:, None], np.uint8([210, 100, 0]), np.uint8([90, 100, 0]))
    zoom = UniformSampler(32)

    def contrast(chroma: str, factor: int) -> float:
        file = encode(Image.fromarray(np.tile(stripes, (256, 1, 1))), subsampling=chroma, quality=100)
        image = ByLibjpeg(zoom)(peek(file), 0)
        assert image.scale > 1
        pixels = decode_jpeg(replace(image, scale=factor * image.scale if factor else 1), Buffers(ROOM))
        shown = zoom([pixels]).images[0, 0, 8:-8, 8:-8]
        return float((shown[:, 1::2] - shown[:, ::2]).mean())

    for chroma in ("4:2:0", "4:2:2"):
        assert contrast(chroma, 1) > 0.9 * contrast(chroma, 0)
    assert contrast("4:2:2", 2) < 0.75 * contrast("4:2:2", 0)


@given(*KINDS)
def test_only_colours_are_not_interpolated(height, width, chroma, orientation, progressive):
    """In an image that is as large as needed, brightness is DALI's, and the colours of smooth content nearly are."""
    smooth = Image.fromarray(np.uint8([[[200, 80, 60], [60, 90, 200]]])).resize((width, height))
    file = jpeg(smooth, chroma, orientation, progressive=progressive, quality=95)
    exact = decode([file])[0].numpy()

    image = planned(file, Needs(max(1, exact.shape[0] // 2 + 1), max(1, exact.shape[1] // 2 + 1)))
    pixels = decode_jpeg(image, Buffers(ROOM)).numpy()

    assert image.scale == 1
    assert pixels.shape == exact.shape
    brightness = np.array([0.299, 0.587, 0.114])
    # Each channel is rounded, and some are cut off.
    assert np.abs((pixels.astype(float) - exact) @ brightness).max() < 2
    if min(exact.shape[:2]) >= 16:  # of fewer, one colour sample is a large part of the gradient
        assert np.abs(pixels.astype(float) - exact).mean() < 4
    if chroma in ("4:4:4", "L"):
        assert np.array_equal(pixels, exact)


@pytest.mark.parametrize(("needed", "smooth"), [(101, True), (100, False), (51, False)])
def test_colours_are_interpolated_where_that_can_be_seen(needed, smooth):
    """An image that is smaller than needed is decoded as DALI does it."""
    file = encode(picture(0, 100, 140), subsampling="4:2:0")
    image = planned(file, Needs(needed, needed))

    assert image.smooth_colour == smooth
    if smooth:
        assert np.array_equal(decode_jpeg(image, Buffers(ROOM)).numpy(), decode([file])[0].numpy())


@pytest.mark.parametrize("max_zoom", [2.0, 4.0])
def test_what_a_zoom_shows_of_repeated_colours(data_dir, max_zoom):
    """Zoomed photographs whose colours were not interpolated have at least 55 dB, compared with interpolated ones."""
    shards = Shards(sorted(map(str, (data_dir / "photos").glob("*.tar"))))
    zoom = SaliencySampler(224, max_zoom=max_zoom).eval().requires_grad_(False)
    images = [planned(shards[ordinal].members["jpg"], zoom) for ordinal in range(0, len(shards), 4)]
    checked = 0
    for image in images:
        if image.smooth_colour or image.scale > 1:
            continue
        quick = decode_jpeg(image, Buffers(ROOM))
        smooth = decode_jpeg(replace(image, smooth_colour=True), Buffers(ROOM))
        grid = zoom([smooth]).grid
        error = (sample([quick], grid) - sample([smooth], grid)).square().mean()
        assert 0 < float(error) < 10**-5.5
        checked += 1
    assert checked > 1


def vga(file: bytes) -> bytes:
    """Return a photograph as a 4:2:0 JPEG of 640 x 480."""
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB")
    return encode(upright.resize((640, 480)), quality=88, subsampling="4:2:0")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepared", "size", "through_one_grid", "delivered"),
    [(bytes, 224, (64.3, 71.5), (43.7, 60.7)), (vga, 48, (52.7, 60.6), (39.9, 46.5))],
)
def test_what_a_loader_shows_of_repeated_colours(data_dir, prepared, size, through_one_grid, delivered):
    """The figures of docs/loader.md: colours change a picture little, and the grid that is computed from them by more."""
    torch.manual_seed(0)
    zoom = SaliencySampler(size).eval().requires_grad_(False)
    errors = []
    for each in Shards(sorted(map(str, (data_dir / "photos").glob("*.tar")))):
        image = planned(prepared(each.members["jpg"]), zoom)
        if not image.smooth_colour and image.scale == 1:
            quick, exact = decode_jpeg(image, Buffers(ROOM)), decode([image.file])[0]
            images, grid, _ = zoom([exact])
            shown = sample([quick], grid), zoom([quick]).images
            errors.append([float((each - images).square().mean().clamp_min(1e-12)) for each in shown])
    decibels = -10 * np.log10(errors)

    assert len(errors) == (16 if prepared is bytes else 31)
    assert decibels.min(0) == pytest.approx([through_one_grid[0], delivered[0]], abs=0.2)
    assert np.median(decibels, 0) == pytest.approx([through_one_grid[1], delivered[1]], abs=0.2)


def test_a_copy_is_memory_that_was_lent_before():
    """Memory of copies is reused when their tensors are gone, and not before."""
    buffers = Buffers(ROOM)
    image = ByLibjpeg(WHOLE)(peek(encode(picture(0, 50, 70))), 0)
    first = decode_jpeg(image, buffers)
    kept, address = first[10:], first.data_ptr()
    copy = kept.clone()
    del first

    second = decode_jpeg(image, buffers)
    assert second.data_ptr() != address
    second.zero_()
    assert torch.equal(kept, copy)
    del kept

    assert decode_jpeg(image, buffers).data_ptr() == address
