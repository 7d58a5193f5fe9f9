"""The colour profile that is embedded in a file, of any format."""

from collections.abc import Callable

from foveal.pipeline.decoding._decode_error import DecodeError
from foveal.pipeline.decoding._pillow import read_with_pillow
from foveal.pipeline.decoding.formats import FormatError, profile_by_helper
from foveal.pipeline.decoding.headers import (
    AVIF,
    DICOM,
    HEIC,
    JPEG,
    JPEG_2000,
    JPEG_XL,
    JPEG_XR,
    LERC,
    NPY,
    PLAIN_TIFF,
    PNM,
    TIFF,
    Kind,
    heif_profile,
    jpeg2000_profile,
    jpeg_xl_header,
    read_jpeg_header,
    tiff_profile,
)


def profile_of(file: bytes, kind: Kind) -> bytes | None:
    """Return the colour profile that is embedded in a file; None if there is none.

    Raises:
        DecodeError: It has other colours than sRGB, and no profile that Foveal reads.
    """
    return _PROFILES.get(kind, _pillow_profile)(file)


def _jpeg_profile(file: bytes) -> bytes | None:
    header = read_jpeg_header(file)
    return _pillow_profile(file) if header is None else header.profile or None


def _heif_profile(file: bytes) -> bytes | None:
    try:
        return heif_profile(file)
    except ValueError as error:
        raise DecodeError(f"cannot be converted to sRGB: {error}", kind="unsupported") from error


def _dicom_profile(file: bytes) -> bytes | None:
    try:
        return profile_by_helper(DICOM, file) or None
    except FormatError as error:
        raise DecodeError(f"is broken: pydicom says {str(error)!r}") from error


def _jpeg_xl_profile(file: bytes) -> bytes | None:
    header = jpeg_xl_header(file)
    if header is None or not header.srgb:
        raise DecodeError(
            "cannot be converted to sRGB: profiles of JPEG XL are not read, and its header does not say sRGB",
            kind="unsupported",
        )
    return None


def _pillow_profile(file: bytes) -> bytes | None:
    try:
        return read_with_pillow(file, lambda image: image.info.get("icc_profile")) or None
    except DecodeError:  # Pillow does not know the file
        return None


_PROFILES: dict[Kind, Callable[[bytes], bytes | None]] = {
    TIFF: tiff_profile,
    PLAIN_TIFF: tiff_profile,
    JPEG_XR: lambda file: tiff_profile(b"II*\0" + file[4:]),  # it is laid out as a TIFF is
    JPEG: _jpeg_profile,
    JPEG_2000: jpeg2000_profile,
    JPEG_XL: _jpeg_xl_profile,
    HEIC: _heif_profile,
    AVIF: _heif_profile,
    DICOM: _dicom_profile,
    **dict.fromkeys((LERC, NPY, PNM), lambda _: None),
}
