"""Files of the formats that the second decoder reads, with the levels that they show."""

import io
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pillow_heif
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.pipeline.decoding.tiff_layouts import ramps


class Encoded(NamedTuple):
    """A file, and the levels that it shows, not rounded."""

    file: bytes
    levels: Any


def of_bits(bits: int, bands: int) -> tuple[Any, Any]:
    """Return samples of this many bits, and the levels that they stand for."""
    light = ramps("float64", bands)
    samples = np.rint(light * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    levels = samples / (2**bits - 1) * 255
    return (samples[..., 0] if bands == 1 else samples), (levels if bands == 3 else levels.repeat(3, axis=2))


def lossless() -> dict[str, Encoded]:
    """Return lossless files of each format, by name, depth and bands."""
    files = {}
    for bits, bands in ((8, 1), (8, 3), (12, 1), (12, 3), (16, 1), (16, 3)):
        samples, levels = of_bits(bits, bands)
        bit_depth = {"bitspersample": bits}
        made = {
            "JPEG 2000": imagecodecs.jpeg2k_encode(samples, level=0, codecformat="jp2", **bit_depth),
            "J2K": imagecodecs.jpeg2k_encode(samples, level=0, codecformat="j2k", **bit_depth),
            "JPEG XL": imagecodecs.jpegxl_encode(samples, lossless=True, **bit_depth),
            "lossless JPEG": imagecodecs.jpeg8_encode(samples, lossless=True, **bit_depth),
        }
        if bits != 12:  # these store what the type holds
            made["JPEG-LS"] = imagecodecs.jpegls_encode(samples)
            made["JPEG XR"] = imagecodecs.jpegxr_encode(samples, level=1.0)
            made["LERC"] = imagecodecs.lerc_encode(samples)
        files |= {f"{name} of {bits} bits, {bands}": Encoded(file, levels) for name, file in made.items()}
    for bands in (1, 3):
        light = ramps("float32", bands)
        samples = light[..., 0] if bands == 1 else light
        levels = light.astype(np.float64) * 255
        levels = levels if bands == 3 else levels.repeat(3, axis=2)
        files[f"JPEG XL of float32, {bands}"] = Encoded(
            imagecodecs.jpegxl_encode(samples, lossless=True), levels
        )
        files[f"LERC of float32, {bands}"] = Encoded(imagecodecs.lerc_encode(samples), levels)
    return files


def heic(pixels: Any, orientation: int = 1) -> bytes:
    """Return a HEIC file whose own boxes rotate it."""
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(file, quality=-1, chroma=444, exif=exif.tobytes())
    return file.getvalue()


def avif(pixels: Any, orientation: int = 1) -> bytes:
    """Return an AVIF file whose own boxes rotate it."""
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "AVIF", quality=100, subsampling="4:4:4", exif=exif)
    return file.getvalue()


def dicom(
    pixels: Any,
    photometric: str = "MONOCHROME2",
    *,
    bits: int | None = None,
    syntax: str | None = None,
    **tags: Any,
) -> bytes:
    """Return a DICOM file of one frame."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(entropy_srcs=["foveal"])
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 1 if pixels.ndim == 2 else pixels.shape[2]
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = 8 * pixels.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    if syntax is not None:
        data.compress(syntax)
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()
