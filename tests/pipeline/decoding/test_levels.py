"""Conversion of stored samples to levels, compared with double precision."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline import DecodeError
from foveal.pipeline.decoding import PixelRule, parse_bands, parse_window
from foveal.pipeline.decoding._levels import to_levels
from foveal.pipeline.decoding.formats import Samples

TYPES = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "bool",
)


def random_samples(dtype: str, seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    draw = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return draw.normal(0, 300, shape).astype(kind)
    low, high = (0, 2) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    return draw.integers(low, high, shape, dtype=kind if kind.kind != "b" else np.uint8).astype(kind)


@given(
    st.sampled_from(TYPES),
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3])),
    st.tuples(st.floats(-1e3, 1e3), st.floats(1e-2, 1e5)),
    st.tuples(st.sampled_from([8, 16]), st.booleans()),
)
def test_a_window_is_exact(dtype, seed, shape, window, form):
    """For every type, a window gives NumPy's result in double precision to half a level."""
    (low, width), (bits, inverted) = window, form
    values = random_samples(dtype, seed, shape)
    light = ((values.astype(np.float64) - low) / width).clip(0, 1)
    reference = (1 - light if inverted else light) * (2**bits - 1)

    levels = to_levels(Samples(values, zero_is_white=inverted), (low, low + width), bits)

    assert levels.shape == (*shape[:2], 3)
    assert levels.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert np.abs(levels - reference).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("dtype", "white"), [("uint8", 255), ("uint16", 65535), ("uint16", 4095), ("uint32", 2**32 - 1)]
)
def test_full_range_by_default(dtype, white):
    """Without a window, zero is black, and the value that the header calls white is white."""
    values = np.array([[0, white // 2, white]], dtype)[..., None]

    assert to_levels(Samples(values, white=white))[0, :, 0].tolist() == [0, 127, 255]
    assert to_levels(Samples(values, white=white, zero_is_white=True))[0, :, 0].tolist() == [255, 128, 0]


def test_twelve_bits_in_sixteen_keep_all_levels():
    """A window of a sensor's range gives 256 levels, where the range of the type would give 17."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64, 1)

    assert len(np.unique(to_levels(Samples(values, white=65535)))) == 17
    assert len(np.unique(to_levels(Samples(values, white=65535), (0, 4095)))) == 256


def test_what_needs_a_window():
    """Signed integers and floats outside [0, 1] need a window; values that mean "no data" do not count."""
    signed = Samples(np.zeros((2, 2, 1), np.int16))
    with pytest.raises(
        DecodeError, match="needs a window: its samples are int16, of which the header does not say"
    ):
        to_levels(signed)
    heights = np.array([[1500.0, 2000.0, -9999.0, np.nan]], np.float32)[..., None]
    with pytest.raises(DecodeError) as error:
        to_levels(Samples(heights, white=1.0, nodata=-9999.0))
    assert str(error.value) == (
        "image needs a window: its samples lie in [1500, 2000], outside [0, 1] – pass window=(low, high) or 'auto', or --window low:high"
    )
    assert to_levels(Samples(heights, white=1.0), (1500, 2000))[0, :, 0].tolist() == [0, 255, 0, 0]
    assert to_levels(Samples(heights * 0 + 0.5, white=1.0))[0, :2, 0].tolist() == [128, 128]


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32", "uint8"])
def test_percentiles(dtype):
    """``"auto"`` is a window from percentile 1 to percentile 99 of the image, over all bands together."""
    values = random_samples("uint8", 0, (80, 90, 3)).astype(dtype)
    low, high = np.percentile(values.astype(np.float64), (1, 99))

    levels = to_levels(Samples(values, white=255), "auto")

    assert np.array_equal(levels, to_levels(Samples(values), (low, high)))
    assert (levels == 0).mean() < 0.02


def test_percentiles_of_nothing_and_of_one_value():
    """An image with a single value, or without any number, is black."""
    for values in (np.full((4, 4, 1), 7, np.int16), np.full((4, 4, 1), np.nan, np.float32)):
        assert not to_levels(Samples(values), "auto").any()


def test_units_of_the_file():
    """A window is in the units that slope and intercept give; the file's own window is used if none is requested."""
    raw = np.array([[0, 24, 1024, 1424]], np.int16)[..., None]
    samples = Samples(raw, intercept=-1024, window=(-1000, 400))

    assert to_levels(samples)[0, :, 0].tolist() == [0, 0, 182, 255]
    assert to_levels(samples, (0, 400))[0, :, 0].tolist() == [0, 0, 0, 255]
    halves = Samples(raw, slope=0.5)
    assert to_levels(halves, (0, 712))[0, :, 0].tolist() == [0, 4, 183, 255]


def test_inks():
    """CMYK is converted as by Pillow, in its own depth."""
    inks = np.array([[[0, 0, 0, 0], [65535, 0, 0, 0], [0, 0, 0, 65535], [0, 32768, 0, 32768]]], np.uint16)

    assert to_levels(Samples(inks, white=65535, cmyk=True))[0].tolist() == [
        [255, 255, 255],
        [0, 255, 255],
        [0, 0, 0],
        [127, 64, 127],
    ]


@pytest.mark.parametrize("window", [(1, 1), (2, 1), (0,), (0, float("inf")), "automatic", 3, (0, "1")])
def test_windows_that_make_no_sense(window):
    """An invalid window is refused with a message that says what a window is."""
    message = f"window must be (low, high) with low below high, or 'auto', got {window!r}."
    with pytest.raises(ValueError, match=re.escape(message)):
        PixelRule(window=window)


def test_bands_and_colours_that_make_no_sense():
    """Invalid bands and colours are refused with a message."""
    for bands in ((0, 1), (0, 1, -1), (0, 1, 2.0), 3):
        with pytest.raises(
            ValueError,
            match=re.escape(f"bands must be three numbers from 0, such as (3, 2, 1), got {bands!r}."),
        ):
            PixelRule(bands=bands)
    with pytest.raises(ValueError, match=re.escape("color must be 'srgb' or None, got 'p3'.")):
        PixelRule(color="p3")


def test_on_the_command_line():
    """The command line accepts ``-1000:400``, ``auto`` and ``3,2,1``."""
    assert parse_window("-1000:400") == (-1000.0, 400.0)
    assert parse_window("auto") == "auto"
    assert parse_bands("3,2,1") == (3, 2, 1)
    for text in ("1000", "a:b", ""):
        with pytest.raises(
            ValueError, match=re.escape(f"window must be LOW:HIGH, such as -1000:400, or auto, got {text!r}.")
        ):
            parse_window(text)
    with pytest.raises(
        ValueError, match=re.escape("bands must be three numbers from 0, such as 3,2,1, got '3,2'.")
    ):
        parse_bands("3,2")
