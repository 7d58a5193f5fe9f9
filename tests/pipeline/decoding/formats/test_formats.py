"""What the second decoder reads, compared with what was written."""

import io
import re

import numpy as np
import pytest
from PIL import Image, ImageOps
from pydicom.uid import JPEG2000Lossless, RLELossless

from foveal.pipeline import DecodeError, Decoder, decode, peek
from foveal.pipeline.decoding import PixelRule, _peek
from foveal.pipeline.decoding.headers import upright
from tests.pipeline.decoding.files import avif, dicom, heic, lossless, of_bits
from tests.pipeline.decoding.tiff_layouts import ramps

LOSSLESS = lossless()


def pixels_of(file: bytes, **rule) -> np.ndarray:
    with Decoder() as decoder:
        return decoder.start([peek(file, rule=PixelRule(**rule))]).pixels()[0].numpy()


@pytest.mark.parametrize("name", LOSSLESS)
def test_stored_without_loss(name):
    """Each lossless format and depth is decoded to half a level, with the white that its header states."""
    pixels = pixels_of(LOSSLESS[name].file)

    assert pixels.shape == LOSSLESS[name].levels.shape
    assert np.abs(pixels - LOSSLESS[name].levels).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in LOSSLESS
        if not any(of in name for of in ("JPEG 2000 of 8", "J2K of 8", "lossless JPEG of 8"))
    ],
)
def test_without_the_extra_each_is_named(monkeypatch, name):
    """Without the extra, the error names the format and what reads it."""
    monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)

    with pytest.raises(DecodeError) as error:
        peek(LOSSLESS[name].file)
    kind = name.split(" of ")[0].replace("J2K", "JPEG 2000")
    assert re.fullmatch(
        rf"image needs the extra foveal\[formats\]: {kind}.* – pip install 'foveal\[formats\]'",
        str(error.value),
    )


def test_signed_samples_need_a_window():
    """Files with signed samples need a window, also as JPEG 2000."""
    import imagecodecs

    values = ramps("int16", 1)[..., 0]
    file = imagecodecs.jpeg2k_encode(values, level=0, codecformat="jp2")

    with pytest.raises(DecodeError, match="needs a window: its samples are signed"):
        peek(file)
    off = pixels_of(file, window=(-1000, 400)) - ((values[..., None] + 1000.0) / 1400).clip(0, 1) * 255
    assert np.abs(off).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("make", [heic, avif])
def test_boxes_that_turn(make, orientation):
    """HEIC and AVIF files that their own boxes rotate come out upright."""
    pixels = np.asarray(Image.fromarray(ramps("uint8", 3)).resize((48, 32)))
    exif = Image.Exif()
    exif[0x112] = orientation
    plain = io.BytesIO()
    Image.fromarray(pixels).save(plain, "PNG", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(plain)))

    turned = decode([make(pixels, orientation)])[0].numpy()

    assert turned.shape == upright.shape
    assert np.abs(turned.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("orientation", [1, 5, 6, 7])
def test_avif_of_more_than_8_bits(orientation, monkeypatch):
    """With a window, an AVIF file is decoded in its own depth, upright; Pillow, which gives 8 bits, reads it only without."""
    import imagecodecs

    values = np.asarray(Image.fromarray(ramps("uint8", 3)).resize((48, 32))).astype(np.uint16) << 4
    plain = imagecodecs.avif_encode(values, level=100, bitspersample=12, pixelformat="444")
    file = turned(plain, orientation)

    levels = pixels_of(file, window=(1000, 3000))

    want = upright(((values - 1000.0) / 2000).clip(0, 1) * 255, orientation)
    assert levels.shape == want.shape
    assert np.abs(levels - want).mean() < 3
    assert np.abs(pixels_of(file) - upright(values / 4095 * 255, orientation)).mean() < 3
    monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)
    assert peek(file).by == "pillow"
    with pytest.raises(DecodeError, match=re.escape("needs the extra foveal[formats]: AVIF of 12 bits")):
        peek(file, rule=PixelRule(window=(1000, 3000)))


def turned(file: bytes, orientation: int) -> bytes:
    """Return an AVIF of one item whose boxes rotate it, as Pillow writes them for an orientation."""
    if orientation == 1:
        return file
    angle, mirrored = {5: (1, True), 6: (3, False), 7: (3, True)}[orientation]
    added = b"\0\0\0\x09irot" + bytes([angle]) + (b"\0\0\0\x09imir\0" if mirrored else b"")
    places = b"\x85\x86" if mirrored else b"\x85"
    content = bytearray(file)
    for box in (b"meta", b"iprp", b"ipco", b"ipma"):
        start = content.index(box) - 4
        more = {b"ipco": len(added), b"ipma": len(places)}.get(box, len(added) + len(places))
        content[start : start + 4] = (int.from_bytes(content[start : start + 4]) + more).to_bytes(4)
    extent = content.index(b"iloc") + 18
    start = int.from_bytes(content[extent : extent + 4]) + len(added) + len(places)
    content[extent : extent + 4] = start.to_bytes(4)
    count = content.index(b"ipma") + 14
    assert content[count] == 4
    content[count] += len(places)
    content[count + 5 : count + 5] = places
    at = content.index(b"ipma") - 4
    content[at:at] = added
    return bytes(content)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_lerc_of_several_bands(dtype, planar):
    """LERC files are read whether bands are first or last, in depths of up to 64 bits."""
    import imagecodecs

    values = ramps(dtype, 5)
    stored = np.moveaxis(values, 2, 0).copy() if planar else values
    white = 255 if dtype == "uint8" else 1

    levels = pixels_of(imagecodecs.lerc_encode(stored, planar=planar), bands=(4, 0, 1))

    assert np.abs(levels - values[..., [4, 0, 1]] / white * 255).max() <= 0.5 + 1e-6


def test_inks():
    """A JPEG 2000 file says that it is CMYK and is converted; a JPEG of four components and 12 bits does not say so and is refused."""
    import imagecodecs

    inks = ramps("uint16", 4) >> 4
    file = imagecodecs.jpeg2k_encode(inks, level=0, codecformat="jp2", colorspace="CMYK", bitspersample=12)
    light = (1 - inks[..., :3] / 4095) * (1 - inks[..., 3:] / 4095)

    assert np.abs(pixels_of(file) - light * 255).max() <= 0.6
    with pytest.raises(
        DecodeError, match=re.escape("image 0 is CMYK, of which bands=(2, 1, 0) cannot be taken")
    ):
        pixels_of(file, bands=(2, 1, 0))
    with pytest.raises(DecodeError, match="has four components, of which the colours are not known"):
        pixels_of(imagecodecs.jpeg8_encode(inks, level=95, bitspersample=12))


GREY = of_bits(12, 1)


@pytest.mark.parametrize("syntax", [None, RLELossless])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_dicom_of_twelve_bits(syntax, photometric):
    """Levels run from 0 to the largest value of the stored bits; for MONOCHROME1, 0 is white."""
    file = dicom(GREY[0], photometric, bits=12, syntax=syntax)
    levels = GREY[1] if photometric == "MONOCHROME2" else 255 - GREY[1]

    assert np.abs(pixels_of(file) - levels).max() <= 0.5 + 1e-6


HOUNSFIELD = np.rint(ramps("float64", 1)[..., 0] * 4000 - 1024).astype(np.int16)


def test_dicom_in_hounsfield_units():
    """Signed values need a window, which is in the file's units whatever slope and intercept it has."""
    with pytest.raises(DecodeError, match="needs a window: its samples are int16"):
        pixels_of(dicom(HOUNSFIELD))
    for file in (
        dicom(HOUNSFIELD),
        dicom((HOUNSFIELD + 1024).astype(np.uint16), RescaleSlope=1, RescaleIntercept=-1024),
    ):
        off = (
            pixels_of(file, window=(-1000, 400)) - ((HOUNSFIELD[..., None] + 1000.0) / 1400).clip(0, 1) * 255
        )
        assert np.abs(off).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("centre", "width"), [(40, 400), ([40, 300], [400, 2000])])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
def test_dicom_shows_its_own_window(centre, width, function):
    """Without a requested window, the first window in the file is applied by the standard's formula."""
    stored = (HOUNSFIELD + 1024).astype(np.uint16)
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "VOILUTFunction": function}
    file = dicom(stored, WindowCenter=centre, WindowWidth=width, **tags)
    units = HOUNSFIELD.astype(np.float64)[..., None]
    light = (units - 39.5) / 399 + 0.5 if function == "LINEAR" else (units - 40) / 400 + 0.5

    assert np.abs(pixels_of(file) - light.clip(0, 1) * 255).max() <= 0.5 + 1e-6


def test_dicom_in_colour_and_in_several_frames():
    """RGB files are read unchanged; of several frames the first is read."""
    colours = ramps("uint8", 3)
    assert np.array_equal(pixels_of(dicom(colours, "RGB")), colours)

    frames = np.stack([GREY[0], GREY[0] * 0])
    file = dicom(frames.reshape(-1, frames.shape[2]), bits=12, Rows=frames.shape[1], NumberOfFrames=2)
    assert np.abs(pixels_of(file) - GREY[1]).max() <= 0.5 + 1e-6


def test_dicom_as_jpeg_2000():
    """A transfer syntax that pylibjpeg decodes is read."""
    samples = np.asarray(Image.fromarray(ramps("uint8", 1)[..., 0]).resize((96, 64)))

    assert np.array_equal(pixels_of(dicom(samples, syntax=JPEG2000Lossless))[..., 0], samples)


def test_too_many_pixels():
    """For each format, an image that is too large is refused by its header, before anything is decoded."""
    files = [LOSSLESS[name].file for name in LOSSLESS] + [dicom(GREY[0], bits=12), heic(ramps("uint8", 3))]
    for file in files:
        with pytest.raises(DecodeError, match="has more pixels than max_pixels=959: "):
            peek(file, max_pixels=959)
        assert peek(file, max_pixels=64 * 64).height > 0
