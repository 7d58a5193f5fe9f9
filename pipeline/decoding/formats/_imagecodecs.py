"""Single images by imagecodecs: JPEG 2000, JPEG XL, JPEG XR, JPEG-LS, LERC, and JPEGs that are not of 8 bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveal.pipeline.decoding.formats._samples import RefusedError, Samples, as_bands, white_of
from foveal.pipeline.decoding.headers import (
    avif_depth,
    jpeg_xl_header,
    lerc_size,
    read_jpeg2000_header,
    read_jpeg_header,
    without_profile,
)


def read_jpeg2000(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode JPEG 2000 of any depth."""
    from imagecodecs import jpeg2k_decode  # noqa: PLC0415 - an extra

    header = read_jpeg2000_header(file)
    if header is None:
        raise ValueError("it has no codestream")
    values = jpeg2k_decode(without_profile(file), numthreads=1)
    if header.cmyk and bands is not None:
        raise RefusedError(f"is CMYK, of which bands={bands} cannot be taken")
    if header.cmyk:
        return Samples(values[..., :4], white=white_of(values, header.depth), cmyk=True)
    return _samples(values, bands, header.depth)


def read_jpeg(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode a JPEG of another depth than 8 bits, or a lossless one."""
    from imagecodecs import jpeg8_decode  # noqa: PLC0415 - an extra

    values = jpeg8_decode(file)
    if values.ndim == 3 and values.shape[2] == 4:
        raise RefusedError("has four components, of which the colours are not known")
    return _samples(values, bands, _bits(file))


def read_jpeg_ls(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode JPEG-LS."""
    from imagecodecs import jpegls_decode  # noqa: PLC0415 - an extra

    return _samples(jpegls_decode(file), bands, _bits(file))


def read_jpeg_xl(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode JPEG XL (the first frame of an animation); libjxl turns it upright."""
    from imagecodecs import jpegxl_decode  # noqa: PLC0415 - an extra

    values, header = jpegxl_decode(file, index=0, numthreads=1), jpeg_xl_header(file)
    if values.dtype.kind == "u" and (header is None or header.bits is None):
        raise ValueError("its header does not say how many bits its samples have")
    return _samples(values, bands, None if header is None else header.bits)


def read_jpeg_xr(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode JPEG XR."""
    from imagecodecs import jpegxr_decode  # noqa: PLC0415 - an extra

    return _samples(jpegxr_decode(file), bands)


def read_lerc(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode a LERC blob, whose bands are its last or first axis."""
    from imagecodecs import lerc_decode  # noqa: PLC0415 - an extra

    values = np.asarray(lerc_decode(file))
    planar = values.ndim == 3 and values.shape[:2] != lerc_size(file)
    return _samples(np.moveaxis(values, 0, 2) if planar else values, bands)


def read_avif(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode an AVIF of more than 8 bits, as it is stored: not turned upright."""
    from imagecodecs import avif_decode  # noqa: PLC0415 - an extra

    return _samples(avif_decode(file, numthreads=1), bands, avif_depth(file))


def _samples(values: NDArray[Any], bands: tuple[int, ...] | None, bits: int | None = None) -> Samples:
    values = as_bands(np.asarray(values), bands)
    return Samples(values, white=white_of(values, bits))


def _bits(file: bytes) -> int | None:
    header = read_jpeg_header(file)
    return None if header is None or header.frame is None else header.frame.bits
