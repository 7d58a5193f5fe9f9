"""Window, bands and colour in the loader."""

import io
import re
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from tests.pipeline.decoding.files import dicom
from tests.pipeline.decoding.profiles import by_littlecms, swapped_profile
from tests.pipeline.decoding.tiff_layouts import HEIGHT, WIDTH, ramps
from tests.pipeline.making import encode, picture

POINTS = UniformSampler((HEIGHT, WIDTH), antialias=False)  # each output pixel is one of the image


def tiff(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="minisblack", **options)
    return file.getvalue()


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.fixture
def levels_of(write_shard):
    """Return the levels that a loader delivers of one image, and the bad samples."""

    def load(extension: str, file: bytes, **options: Any) -> tuple[Any, list[str]]:
        shard = write_shard([{"__key__": "a", extension: file}])
        arguments = {"batch_size": 1, "fields": (extension,), "on_bad": "drop", "max_bad_fraction": 1.0}
        with ZoomLoader(shard, POINTS, **arguments, **options) as loader:
            images = [image for [batch] in loader for image in batch]
            bad = [sample.reason for sample in loader.bad_samples]
        return (images[0].permute(1, 2, 0).numpy() * 255 if images else None), bad

    return load


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32"])
@pytest.mark.parametrize("extension", ["tif", "npy"])
def test_a_window_is_exact_to_half_a_level(levels_of, dtype, extension):
    """A window of CT in int16, sensors in uint16 or elevation in float32 is right to half a level; without one, types without a white are bad."""
    scale = {"uint8": 1, "int32": 5, "float32": 0.7}.get(dtype, 16)
    values = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 250 * scale).astype(dtype)
    file = tiff(values) if extension == "tif" else npy(values)
    low, high = 20.5 * scale, 180.0 * scale

    levels, bad = levels_of(extension, file, window=(low, high))

    reference = ((values.astype(np.float64) - low) / (high - low)).clip(0, 1) * 255
    assert bad == []
    assert np.abs(levels - reference[..., None]).max() <= 0.5 + 1e-4
    if dtype in ("int16", "int32", "float32"):
        _, bad = levels_of(extension, file)
        assert bad[0].startswith("image needs a window: ")


def test_auto(levels_of):
    """window="auto" runs from percentile 1 to percentile 99 of each image."""
    values = np.random.default_rng(0).normal(1000, 50, (HEIGHT, WIDTH)).astype(np.float32)
    low, high = np.percentile(values.astype(np.float64), (1, 99))

    levels, _ = levels_of("tif", tiff(values), window="auto")

    reference = ((values.astype(np.float64) - low) / (high - low)).clip(0, 1) * 255
    assert np.abs(levels - reference[..., None]).max() <= 0.5 + 1e-4


def test_a_window_is_of_stored_values_of_jpegs_too(levels_of):
    """A window of a JPEG refers to 0 to 255, whichever decoder is used."""
    file = encode(picture(0, HEIGHT, WIDTH), quality=95)
    plain, _ = levels_of("jpg", file)
    reference = ((plain - 50) / 100).clip(0, 1) * 255

    for decode in ("dali", "auto"):
        levels, _ = levels_of("jpg", file, window=(50, 150), decode=decode)
        assert np.abs(levels - reference).max() <= 0.5 + 1e-3


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
@pytest.mark.parametrize("extension", ["tif", "npy"])
@pytest.mark.parametrize("bands", [None, (3, 2, 1), (12, 0, 0)])
def test_bands(levels_of, extension, bands):
    """Three of thirteen bands are chosen by index; the default is the first three."""
    values = ramps("uint16", 13)
    file = tiff(values, planarconfig="contig") if extension == "tif" else npy(values)

    levels, _ = levels_of(extension, file, bands=bands)

    assert np.abs(levels - values[..., list(bands or (0, 1, 2))] / 65535 * 255).max() <= 0.5 + 1e-4
    _, bad = levels_of(extension, file, bands=(3, 2, 13))
    assert re.search(r"has 13 bands, counted from 0, and bands=\(3, 2, 13\) asks for 13", bad[0])


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_two_bands(levels_of):
    """Of two bands the first is shown as grey; choosing three is refused."""
    values = ramps("uint16", 2)
    for file in (
        tiff(values, planarconfig="contig"),
        tiff(np.moveaxis(values, 2, 0), planarconfig="separate"),
    ):
        levels, _ = levels_of("tif", file)
        assert np.abs(levels - values[..., :1] / 65535 * 255).max() <= 0.5 + 1e-4
        _, bad = levels_of("tif", file, bands=(0, 1, 2))
        assert "has 2 bands, counted from 0" in bad[0]


def test_bands_of_three(levels_of):
    """The bands of an RGB image can be reordered."""
    pixels = picture(0, HEIGHT, WIDTH)

    levels, _ = levels_of("png", encode(pixels, "PNG"), bands=(2, 0, 1))

    assert np.abs(levels - pixels[..., [2, 0, 1]]).max() < 1e-3


@pytest.fixture(scope="module")
def wide() -> bytes:
    return swapped_profile()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_colours_by_the_embedded_profile(levels_of, wide, kind):
    """On request colours are converted as by Pillow with LittleCMS; by default they are not."""
    pixels = picture(0, HEIGHT, WIDTH)
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    file = encode(pixels, kind, icc_profile=wide, **options)
    extension = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    reference = by_littlecms(Image.open(io.BytesIO(file)), wide)

    converted, _ = levels_of(extension, file, color="srgb")
    stored, _ = levels_of(extension, file)

    assert np.abs(converted - reference).max() < 1e-3
    assert np.abs(stored - reference).mean() > 10
    without, _ = levels_of(extension, encode(pixels, kind, **options), color="srgb")
    assert np.abs(without - stored).max() < 1e-3


def test_colours_of_deep_and_of_grey_files(levels_of, wide):
    """Deep files are converted after they have become levels; a grey file with a colour profile stays grey."""
    deep = io.BytesIO()
    tifffile.imwrite(deep, ramps("uint16", 3), photometric="rgb", iccprofile=wide)
    levels = np.rint(ramps("uint16", 3) / 65535 * 255).astype(np.uint8)

    converted, _ = levels_of("tif", deep.getvalue(), color="srgb")
    assert np.abs(converted - by_littlecms(Image.fromarray(levels), wide)).max() < 1e-3
    grey = encode(Image.fromarray(levels[..., 0]), "PNG", icc_profile=wide)
    assert levels_of("png", grey, color="srgb")[0] is not None


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_a_profile_that_is_none(levels_of):
    """An invalid profile makes the sample bad only if colours are converted."""
    file = encode(picture(0, HEIGHT, WIDTH), "PNG", icc_profile=b"no profile")

    assert levels_of("png", file)[1] == []
    assert levels_of("png", file, color="srgb")[1][0].startswith(
        "image has a colour profile that cannot be used: "
    )


def test_dicom_members(levels_of):
    """DICOM members are read with the window that the file states."""
    values = np.rint(ramps("float64", 1)[..., 0] * 4000).astype(np.uint16)
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "VOILUTFunction": "LINEAR_EXACT"}

    levels, _ = levels_of("dcm", dicom(values, WindowCenter=40, WindowWidth=400, **tags))

    assert np.abs(levels[..., 0] - ((values - 1024.0 + 160) / 400).clip(0, 1) * 255).max() <= 0.5 + 1e-4


def test_arguments_are_checked(write_shard):
    """Invalid arguments are refused before shards are opened."""
    for name, value, message in (
        ("window", (3, 1), "window must be (low, high) with low below high, or 'auto', got (3, 1)."),
        ("bands", (1, 2), "bands must be three numbers from 0, such as (3, 2, 1), got (1, 2)."),
        ("color", "p3", "color must be 'srgb' or None, got 'p3'."),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            ZoomLoader("nowhere.tar", POINTS, batch_size=1, **{name: value})


def test_an_array_is_the_image_if_nothing_else_is(write_shard):
    """An array is the image if no other member is; beside an image it is a label."""
    values = ramps("uint8", 3)
    shard = write_shard([{"__key__": "a", "npy": npy(values), "png": encode(values, "PNG"), "cls": 1}])

    with ZoomLoader(shard, POINTS, batch_size=1, fields=("npy", "cls")) as loader:
        [(images, _)] = loader
    with ZoomLoader(shard, POINTS, batch_size=1, fields=("png", "npy")) as loader:
        [(same, labels)] = loader
    assert torch.equal(images, same)
    assert np.array_equal(labels[0].numpy(), values)
