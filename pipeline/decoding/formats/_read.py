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
from foveal.pipeline.decoding.headers import (
    AVIF,
    DICOM,
    HEIC,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    JPEG_XL,
    JPEG_XR,
    LERC,
    PLAIN_TIFF,
    TIFF,
)

READERS: dict[str, Callable[[bytes, tuple[int, ...] | None], Samples]] = {
    TIFF.name: read_tiff,
    PLAIN_TIFF.name: read_plain_tiff,
    DICOM.name: read_dicom,
    HEIC.name: read_heif,
    AVIF.name: read_avif,
    JPEG.name: read_jpeg,
    JPEG_LS.name: read_jpeg_ls,
    JPEG_2000.name: read_jpeg2000,
    JPEG_XL.name: read_jpeg_xl,
    JPEG_XR.name: read_jpeg_xr,
    LERC.name: read_lerc,
}
# Formats with display settings of their own, which apply if no window is given.
SHOWN = {DICOM.name: read_shown_dicom}
# Formats whose profile only their library finds.
PROFILES: dict[str, Callable[[bytes], bytes]] = {DICOM.name: dicom_profile}
# Formats whose size only their library finds.
SIZES: dict[str, Callable[[bytes], tuple[int, int, int, int]]] = {
    DICOM.name: dicom_size,
    HEIC.name: heif_size,
}
