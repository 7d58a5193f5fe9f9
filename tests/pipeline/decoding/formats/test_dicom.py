"""How DICOM files are displayed, compared with the formulas of the standard."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from foveal.pipeline import DecodeError, decode
from foveal.pipeline.decoding import PixelRule
from tests.pipeline.decoding.files import dicom, of_bits
from tests.pipeline.decoding.tiff_layouts import ramps

GREY, LEVELS = of_bits(12, 1)
STORED = GREY.astype(np.float64)[..., None]


def pixels_of(file: bytes, **rule) -> np.ndarray:
    return decode([file], rule=PixelRule(**rule))[0].numpy()


def changed(file: bytes, **sequences) -> bytes:
    """Return a file with attributes changed; sequences have one item each."""
    data = pydicom.dcmread(io.BytesIO(file))
    for name, item in sequences.items():
        setattr(data, name, [item])
    changed_file = io.BytesIO()
    data.save_as(changed_file, enforce_file_format=True)
    return changed_file.getvalue()


def item(**tags) -> Dataset:
    data = Dataset()
    for name, value in tags.items():
        setattr(data, name, value)
    return data


def lookup(entries: np.ndarray, bits: int, first: int = 0) -> Dataset:
    table = Dataset()
    table.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    table.add_new("LUTData", "OW", entries.tobytes())
    return table


def off(levels: np.ndarray, light: np.ndarray) -> float:
    return float(np.abs(levels - light.clip(0, 1) * 255).max())


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_curve(photometric):
    """A file with the function SIGMOID is shown by C.11.2.1.3.1; with a requested window, by the linear function."""
    tags = {"WindowCenter": 1000, "WindowWidth": 500, "VOILUTFunction": "SIGMOID", "RescaleIntercept": -100}
    file = dicom(GREY, photometric, bits=12, RescaleSlope=2, **tags)
    light = 1 / (1 + np.exp(-4 * (2 * STORED - 100 - 1000) / 500))
    straight = (2 * STORED - 100 - 200) / 300
    if photometric == "MONOCHROME1":
        light, straight = 1 - light, 1 - straight

    assert off(pixels_of(file), light) <= 0.5 + 1e-6
    assert off(pixels_of(file, window=(200, 500)), straight) <= 0.5 + 1e-6


def test_a_window_of_width_one():
    """With a window of width one, values up to half below the centre are black, and all others are white."""
    file = dicom(GREY, bits=12, WindowCenter=1000, WindowWidth=1)

    assert off(pixels_of(file), (STORED > 999.5).astype(float)) == 0


def test_units_that_fall_as_stored_values_rise():
    """With a negative slope, the smallest stored value is the brightest, as C.11.1 says."""
    file = dicom(GREY, bits=12, RescaleSlope=-1, RescaleIntercept=0)

    assert off(pixels_of(file), 1 - STORED / 4095) <= 0.5 + 1e-6


@pytest.mark.parametrize("width", [np.uint8, np.uint16])
@pytest.mark.parametrize("first", [0, -1024])
def test_a_table_of_levels(width, first):
    """A VOI table of 8 bits is applied, whether its entries take 8 or 16 bits; with a requested window it is not."""
    entries = (np.arange(4096) // 16).astype(width)
    tags = {"RescaleSlope": 1, "RescaleIntercept": first}
    file = changed(dicom(GREY, bits=12, **tags), VOILUTSequence=lookup(entries, 8, first))

    assert off(pixels_of(file), GREY[..., None] // 16 / 255) == 0
    assert off(pixels_of(file, window=(first + 100, first + 900)), (STORED - 100) / 800) <= 0.5 + 1e-6


def test_a_table_of_units():
    """A modality table is applied, and windows are in its units."""
    entries = (np.arange(4096) * 16).astype(np.uint16)
    file = changed(dicom(GREY, bits=12), ModalityLUTSequence=lookup(entries, 16))

    assert off(pixels_of(file), 16 * STORED / 65535) <= 0.5 + 1e-6
    assert off(pixels_of(file, window=(1000, 30000)), (16 * STORED - 1000) / 29000) <= 0.5 + 1e-6


@pytest.mark.parametrize("place", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_enhanced_files(place):
    """Rescaling and window are found in the functional groups of the first frame, or in the shared ones."""
    units = item(PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=-1024)])
    units.FrameVOILUTSequence = [item(WindowCenter=40, WindowWidth=400, VOILUTFunction="LINEAR_EXACT")]
    file = changed(dicom(GREY, bits=12), **{place: units})

    assert off(pixels_of(file), (STORED - 1024 + 160) / 400) <= 0.5 + 1e-6
    assert off(pixels_of(file, window=(0, 1000)), (STORED - 1024) / 1000) <= 0.5 + 1e-6


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette(bits):
    """The colours of a palette have the depth that its table states, not that of the indices."""
    indices = ramps("uint8", 1)[..., 0]
    file = io.BytesIO()
    data = pydicom.dcmread(io.BytesIO(dicom(indices)))
    data.PhotometricInterpretation = "PALETTE COLOR"
    top = 2**bits - 1
    tables = [np.arange(256) * top // 255, top - np.arange(256) * top // 255, np.full(256, top // 3)]
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        data.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, bits])
        data.add_new(
            f"{name}PaletteColorLookupTableData", "OW", table.astype("u1" if bits == 8 else "<u2").tobytes()
        )
    data.save_as(file, enforce_file_format=True)

    assert off(pixels_of(file.getvalue()), np.dstack([table[indices] for table in tables]) / top) <= 0.5


def test_padding_does_not_count():
    """Percentiles leave out the padding value, which is far outside of the measured values."""
    values = np.rint(ramps("float64", 1)[..., 0] * 1000).astype(np.int16)
    values[:, :12] = -2000
    low, high = np.percentile(values[:, 12:].astype(np.float64), (1, 99))

    levels = pixels_of(dicom(values, PixelPaddingValue=-2000), window="auto")

    assert off(levels, (values[..., None] - low) / (high - low)) <= 0.5 + 1e-6


def test_samples_in_the_upper_bits_are_refused():
    """The retired way to store 12 bits in the upper bits of 16 is refused."""
    with pytest.raises(DecodeError, match="its samples of 12 bits end at bit 15 of 16"):
        pixels_of(dicom(GREY << 4, bits=12, HighBit=15))
