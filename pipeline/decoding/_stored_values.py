"""Values as a file stores them, for labels: Pillow scales values of few bits, and inverts files in which 0 is white."""

from typing import Any

import numpy as np
from PIL import Image

from foveal.pipeline.decoding._arrays import pnm_header, read_pnm
from foveal.pipeline.decoding._decode_error import DecodeError, check_pixels
from foveal.pipeline.decoding.formats import FormatError, FormatRefusedError, decode_by_helper, missing
from foveal.pipeline.decoding.headers import (
    JPEG_2000,
    PNG,
    PNM,
    TIFF,
    TiffHeader,
    kind_of_file,
    read_jpeg2000_header,
    read_tiff_header,
    upright,
)

_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_WHITE_IS_ZERO = (0, -1)  # Pillow takes a TIFF that does not say for one of these
_GREY, _PALETTE = 1, 3
# Number formats and bits of TIFFs that Pillow reads without a loss. It takes int8 for uint8, and uint32 for int32.
_BY_PILLOW = {*((_UNSIGNED, bits) for bits in (1, 2, 4, 8, 16)), (_SIGNED, 16), (_SIGNED, 32), (_FLOAT, 32)}
_KINDS = {"u1": np.uint8, "u4": np.int64, "f2": np.float32, "f4": np.float32, "f8": np.float64}
_STORE = "store it as PNG or npy"


def read_exactly(file: bytes, max_pixels: int | None) -> Any:
    """Return the values of a file of which Pillow would return others, upright; None for files that Pillow reads.

    Raises:
        DecodeError: It is broken, has more than ``max_pixels`` pixels, or cannot be read exactly.
    """
    kind = kind_of_file(file)
    if kind == PNM and file[1:2] not in b"14":  # Pillow inverts bitmaps, but scales the others
        header = pnm_header(file)
        if header is not None:
            check_pixels(header.height, header.width, max_pixels)
        return _of_labels(read_pnm(file, None).values)
    tiff = read_tiff_header(file) if kind == TIFF else None
    return None if tiff is None or _is_for_pillow(tiff, file) else _by_tifffile(tiff, file, max_pixels)


def stored_values(image: Image.Image, file: bytes) -> Any:
    """Return the values of an image that Pillow has read from this file: (height, width), or (height, width, bands)."""
    values, kind = np.array(image), kind_of_file(file)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if kind == PNG:
        return _of_png(values, file)
    if kind == TIFF and image.mode in ("1", "L"):
        return _of_tiff(values, file)
    if kind == JPEG_2000:
        return _of_jpeg2000(values, file)
    return 1 - values if kind == PNM else values


def _of_png(values: Any, file: bytes) -> Any:
    depth, colours = file[24], file[25]
    if depth == 16 and colours:
        raise DecodeError("holds no class ids: it has several channels of 16 bits")
    step = {(2, 0): 85, (4, 0): 17}.get((depth, colours), 1)
    return values // step if step > 1 else values


def _of_tiff(values: Any, file: bytes) -> Any:
    header = read_tiff_header(file)
    if header is None or header.depth > 8:
        return values
    top = 2**header.depth - 1
    stored = values // (255 // top) if 1 < header.depth < 8 else values
    return top - stored if header.photometric in _WHITE_IS_ZERO else stored


def _of_jpeg2000(values: Any, file: bytes) -> Any:
    header = read_jpeg2000_header(file)
    if header is None:
        return values
    bits = header.depth
    if header.signed or bits > 16 or len(set(header.bits)) > 1 or (bits > 8 and values.ndim > 2):
        kind = "signed numbers" if header.signed else f"{header.bits} bits"
        raise DecodeError(f"holds no class ids that can be read exactly: JPEG 2000 of {kind} – {_STORE}")
    return values >> ((8 if bits <= 8 else 16) - bits)


def _is_for_pillow(header: TiffHeader, file: bytes) -> bool:
    """Return whether Pillow returns a TIFF's values, or others from which :func:`stored_values` finds them."""
    if header.bands > 1 or header.photometric == _PALETTE:
        if header.depth > 8:
            what = "several channels" if header.bands > 1 else "a palette"
            raise DecodeError(f"holds no class ids: it has {what} of {header.depth} bits")
        return True
    if (header.sample_format, header.depth) not in _BY_PILLOW:
        return False
    if file.startswith(b"MM") and header.compression != 1 and header.sample_format != _UNSIGNED:
        return False  # Pillow leaves their bytes in the wrong order
    # Of deeper files in which 0 is white Pillow refuses some.
    return header.depth <= 8 or header.photometric == _GREY or bool(missing(TIFF))


def _by_tifffile(header: TiffHeader, file: bytes, max_pixels: int | None) -> Any:
    check_pixels(header.height, header.width, max_pixels)
    if header.depth > (64 if header.sample_format == _FLOAT else 32):
        raise DecodeError(f"holds no class ids that can be read exactly: {header.samples} – {_STORE}")
    if missing(TIFF):
        raise DecodeError(
            f"needs the extra foveal[formats]: TIFF of {header.samples} – pip install 'foveal[formats]', or {_STORE}",
            kind="unsupported",
        )
    size, pixel_bytes = (header.height, header.width), 2 * -(-header.depth // 8)
    try:
        values = decode_by_helper(TIFF, file, size, pixel_bytes, None).values
    except FormatRefusedError as error:
        raise DecodeError(str(error), kind="unsupported") from error
    except FormatError as error:
        raise DecodeError(f"is broken: {TIFF.needs[0]} says {str(error)!r}") from error
    return _of_labels(upright(values, header.orientation))


def _of_labels(values: Any) -> Any:
    """Return (height, width) of a type that torch can index, or (height, width, 3) uint8, of samples (height, width, bands)."""
    if values.shape[2] > 1 and values.dtype != np.uint8:
        raise DecodeError(f"holds no class ids: it has several channels of {8 * values.itemsize} bits")
    chosen = values if values.shape[2] > 1 else values[..., 0]
    return np.array(chosen, _KINDS.get(values.dtype.str[1:], np.int32), order="C")
