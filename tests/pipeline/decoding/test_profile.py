"""Colour profiles in every format."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from foveal.pipeline import DecodeError, decode
from foveal.pipeline.decoding import PixelRule
from tests.pipeline.decoding.files import avif
from tests.pipeline.decoding.profiles import WRITERS, by_littlecms, swapped_profile
from tests.pipeline.making import picture

LEVELS = picture(0, 48, 64)
SRGB = PixelRule(color="srgb")


@pytest.mark.parametrize("kind", WRITERS)
def test_converted_on_request_and_only_then(kind):
    """On request, pixels are converted as LittleCMS converts them; by default they are the stored ones."""
    icc = swapped_profile()
    file = WRITERS[kind](LEVELS, icc)
    lossy = kind in ("HEIC", "JPEG of 12 bits")

    [stored], [converted] = decode([file]), decode([file], rule=SRGB)

    reference = by_littlecms(Image.fromarray(LEVELS), icc)
    assert np.abs(stored.numpy().astype(int) - LEVELS).mean() <= (3 if lossy else 0)
    assert np.abs(converted.numpy() - reference).mean() <= (3 if lossy else 0.1)
    assert np.abs(reference - LEVELS).mean() > 10


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inks_are_converted_by_their_profile(dtype):
    """A CMYK TIFF is converted from its four bands, not from the RGB that they are without a profile."""
    icc = inks_profile()
    inks = np.dstack([LEVELS, LEVELS[..., :1] // 4])
    file = io.BytesIO()
    stored = inks if dtype is np.uint8 else inks * np.uint16(257)
    tifffile.imwrite(file, stored, photometric="separated", iccprofile=icc)

    [converted] = decode([file.getvalue()], rule=SRGB)

    assert np.array_equal(converted.numpy(), by_littlecms(Image.fromarray(inks, "CMYK"), icc))


def inks_profile() -> bytes:
    """Return a CMYK profile with the smallest possible tables: one colour for each corner of the ink cube."""
    corners = np.indices((2, 2, 2, 2)).reshape(4, 16).T
    light = (1 - corners[:, :3]) * (1 - corners[:, 3:])
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    colours = Image.fromarray((light * 255).astype(np.uint8).reshape(1, 16, 3))
    table = np.asarray(ImageCms.applyTransform(colours, to_lab)).reshape(16, 3)
    table = np.dstack([table[:, 0], table[:, 1] + 128, table[:, 2] + 128])[0].astype(np.uint8)
    identity = bytes(range(256))
    matrix = b"".join(int(value).to_bytes(4) for value in np.eye(3).ravel() * 65536)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + identity * 4 + table.tobytes() + identity * 3
    lut += bytes(-len(lut) % 4)
    white = b"XYZ " + bytes(4) + b"".join(round(v * 65536).to_bytes(4) for v in (0.9642, 1, 0.8249))
    start = 128 + 4 + 2 * 12
    tags = (2).to_bytes(4) + b"A2B0" + start.to_bytes(4) + len(lut).to_bytes(4)
    tags += b"wtpt" + (start + len(lut)).to_bytes(4) + len(white).to_bytes(4)
    body = tags + lut + white
    head = (128 + len(body)).to_bytes(4) + bytes(4) + b"\2\x20\0\0" + b"prtrCMYKLab " + bytes(12) + b"acsp"
    illuminant = white[8:]
    return head.ljust(68, b"\0") + illuminant.ljust(60, b"\0") + body


def test_colours_that_cannot_be_converted_are_refused():
    """Files whose colour space has no profile are refused on request, and delivered as stored otherwise."""
    p3 = avif(LEVELS).replace(b"colrnclx\0\1", b"colrnclx\0\14")
    xyb = imagecodecs.jpegxl_encode(LEVELS, lossless=True)
    linear = imagecodecs.jpegxl_encode((LEVELS / 255).astype(np.float32), lossless=True)

    with pytest.raises(
        DecodeError, match=r"cannot be converted to sRGB: its colours are those of the primaries 12"
    ):
        decode([p3], rule=SRGB)
    with pytest.raises(DecodeError, match=r"cannot be converted to sRGB: profiles of JPEG XL are not read"):
        decode([linear], rule=SRGB)
    assert len(decode([p3, linear])) == 2
    assert np.array_equal(decode([xyb], rule=SRGB)[0].numpy(), LEVELS)
