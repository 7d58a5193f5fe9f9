"""A colour profile that swaps channels, files of each format that embed it, and what LittleCMS makes of them."""

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pydicom
import tifffile
from PIL import Image, ImageCms

from tests.pipeline.decoding.files import dicom


def swapped_profile() -> bytes:
    """Return the profile of sRGB with green and red exchanged."""
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(icc[128:132])
    entries = {bytes(icc[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(count)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    icc[red + 4 : red + 12], icc[green + 4 : green + 12] = (
        icc[green + 4 : green + 12],
        icc[red + 4 : red + 12],
    )
    return bytes(icc)


def by_littlecms(image: Image.Image, icc: bytes) -> Any:
    converted = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    return np.asarray(converted).astype(int)


def tiff(values: Any, icc: bytes, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="rgb", iccprofile=icc, **options)
    return file.getvalue()


def jp2(values: Any, icc: bytes) -> bytes:
    """Return a JPEG 2000 file whose colour box holds the profile."""
    file = imagecodecs.jpeg2k_encode(values, level=0, codecformat="jp2")
    head, colours = file.index(b"jp2h") - 4, file.index(b"colr") - 4
    after = colours + int.from_bytes(file[colours : colours + 4])
    box = (11 + len(icc)).to_bytes(4) + b"colr\2\0\0" + icc
    length = int.from_bytes(file[head : head + 4]) + len(box) - (after - colours)
    return file[:head] + length.to_bytes(4) + file[head + 4 : colours] + box + file[after:]


def heic(values: Any, icc: bytes) -> bytes:
    image = pillow_heif.from_pillow(Image.fromarray(values))
    image.info.update({"icc_profile": icc, "icc_profile_type": "prof"})
    file = io.BytesIO()
    image.save(file, quality=-1, chroma=444)
    return file.getvalue()


def dicom_in_colour(values: Any, icc: bytes) -> bytes:
    data = pydicom.dcmread(io.BytesIO(dicom(values, "RGB")))
    data.ICCProfile = icc
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def jpeg_of_12_bits(values: Any, icc: bytes) -> bytes:
    """Return a JPEG of 12 bits, which Pillow does not open."""
    file = imagecodecs.jpeg8_encode(values.astype(np.uint16) << 4, level=100, bitspersample=12)
    block = b"ICC_PROFILE\0\1\1" + icc
    return file[:2] + b"\xff\xe2" + (2 + len(block)).to_bytes(2) + block + file[2:]


WRITERS: dict[str, Callable[[Any, bytes], bytes]] = {
    "TIFF of 16 bits": lambda levels, icc: tiff(levels * np.uint16(257), icc),
    "TIFF of 32 bits": lambda levels, icc: tiff((levels / 255).astype(np.float32), icc),
    "TIFF of JPEG XL": lambda levels, icc: tiff(levels, icc, compression="jpegxl"),
    "TIFF of six bands": lambda levels, icc: tiff(np.dstack([levels] * 2), icc, planarconfig="contig"),
    "JPEG 2000 of 8 bits": jp2,
    "JPEG 2000 of 16 bits": lambda levels, icc: jp2(levels * np.uint16(257), icc),
    "HEIC": heic,
    "DICOM": dicom_in_colour,
    "JPEG of 12 bits": jpeg_of_12_bits,
}
