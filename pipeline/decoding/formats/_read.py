"""Chooses the reader of each format. It runs in the helper process, because it calls C code with files that may be hostile."""

from collections.abc import Callable

from foveal.pipeline.decoding.formats._dicom import dicom_profile, dicom_size, read_dicom, read_shown_dicom
from foveal.pipeline.decoding.formats._heif import heif_size, read_heif
from foveal.pipeline.decoding.formats._imagecodecs import (
    read_avif,
    read_jpeg,
    read_jpeg2000,
    read_jpeg_ls,
    read_jpeg_xl,
    read_jpeg_xr,
    read_lerc,
)
from foveal.pipeline.decoding.formats._plain_tiff import read_plain_tiff
from foveal.pipeline.decoding.formats._samples import Samples
from foveal.pipeline.decoding.formats._tiff import read_tiff

READERS: dict[str, Callable[[bytes, tuple[int, ...] | None], Samples]] = {
    "TIFF": read_tiff,
    "plain TIFF": read_plain_tiff,
    "DICOM": read_dicom,
    "HEIC": read_heif,
    "AVIF": read_avif,
    "JPEG": read_jpeg,
    "JPEG-LS": read_jpeg_ls,
    "JPEG 2000": read_jpeg2000,
    "JPEG XL": read_jpeg_xl,
    "JPEG XR": read_jpeg_xr,
    "LERC": read_lerc,
}
# Formats with display settings of their own, which apply if no window is given.
SHOWN = {"DICOM": read_shown_dicom}
# Formats whose profile only their library finds.
PROFILES: dict[str, Callable[[bytes], bytes]] = {"DICOM": dicom_profile}
# Formats whose size only their library finds.
SIZES: dict[str, Callable[[bytes], tuple[int, int, int, int]]] = {"DICOM": dicom_size, "HEIC": heif_size}
