"""Reads the header of an encoded image: which decoder to use, and how large the image will be.

Nothing is decoded, and no memory is allocated for pixels. A file that DALI's parser refuses would make its whole batch
fail, and some files DALI decodes wrong without an error, so neither is given to DALI. An image that is too large by its
header is refused before memory is allocated for it.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace

from foveal.pipeline.decoding._arrays import npy_header, pnm_header
from foveal.pipeline.decoding._decode_error import DecodeError, check_pixels, needs_window
from foveal.pipeline.decoding._encoded_image import Decodes, EncodedImage
from foveal.pipeline.decoding._pillow import peek_with_pillow, read_with_pillow
from foveal.pipeline.decoding._pixel_rule import PLAIN, PixelRule
from foveal.pipeline.decoding._profile import profile_of
from foveal.pipeline.decoding._route import check_bands, route_jpeg, route_jpeg2000, route_tiff
from foveal.pipeline.decoding.formats import FormatError, missing, size_by_helper
from foveal.pipeline.decoding.headers import (
    AVIF,
    DICOM,
    HEIC,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    JPEG_LS_FRAME,
    JPEG_XL,
    JPEG_XR,
    LERC,
    NPY,
    OTHER,
    PLAIN_TIFF,
    PNG,
    PNM,
    TIFF,
    WEBP,
    Kind,
    avif_depth,
    is_masked_bmp,
    jpeg_xl_header,
    jpeg_xr_size,
    kind_of_file,
    lerc_size,
    orientation_of,
    read_jpeg2000_header,
    read_jpeg_header,
    read_tiff_header,
    with_plain_exif,
    without_animation,
)

# The library reads this when it is loaded; otherwise it writes to stderr about every unusual image.
os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")
from nvidia.nvimgcodec import CodeStream

_ORIENTATION = 0x0112  # of EXIF
# The limit beyond which Pillow, too, suspects an attack on the memory.
MAX_PIXELS = 178_956_970
# Bytes of samples of all bands that count as one pixel for max_pixels.
_MOST_PIXEL_BYTES = 48


def peek(file: bytes, *, max_pixels: int | None = None, rule: PixelRule = PLAIN) -> EncodedImage:
    """Read an image's header, in a few microseconds.

    Args:
        file: A whole file, of any content.
        max_pixels: The largest number of pixels; None for no limit.
        rule: How its samples are to become grey levels.

    Raises:
        DecodeError: It is empty, too large, of an unknown format, or of a format whose package is not installed; or it
            needs a window.
    """
    if not file:
        raise DecodeError("is empty: 0 bytes")
    kind = kind_of_file(file)
    image = _PEEKS.get(kind, _peek_other)(file, rule)
    image = replace(image, kind=kind if image.kind == OTHER else image.kind, rule=rule)
    _check_size(image, max_pixels)
    if image.by not in ("helper", "numpy"):
        check_bands(rule, kind.name)
    # Pillow brings LittleCMS; deeper images are converted after they have become levels.
    if rule.color is not None and image.by == "dali" and profile_of(file, image.kind) is not None:
        return replace(image, by="pillow")
    return image


def _peek_jpeg(file: bytes, rule: PixelRule) -> EncodedImage:  # noqa: ARG001 - as the others
    header = read_jpeg_header(file)
    # If a file has two EXIF blocks, DALI's parsers read different ones; if these differ, pixels are written outside of
    # their memory.
    if header is None or len(header.exif) > 1:
        return _by_pillow(file)
    frame = header.frame
    # DALI takes inks for light unless there is Adobe's marker, so that the picture comes out black.
    if frame is not None and len(frame.factors) == 4 and not header.adobe and route_jpeg(frame) == "dali":
        return _by_pillow(file)
    if frame is None or route_jpeg(frame) == "dali":
        return _by_dali(file) or _by_pillow(file)
    kind = JPEG_LS if frame.kind == JPEG_LS_FRAME else JPEG
    _need(kind, f"{frame.name} of {frame.bits} bits")
    turned = orientation_of(header.exif[0]) if header.exif else 1
    return EncodedImage(
        file,
        frame.height,
        frame.width,
        "helper",
        whole=True,
        orientation=turned or 1,
        kind=kind,
        pixel_bytes=2 * len(frame.factors),
        depth=frame.bits,
    )


def _peek_png(file: bytes, rule: PixelRule) -> EncodedImage:
    deep = file[24:25] == b"\x10"
    image = _by_dali(
        without_animation(file), "dali16" if deep and rule.keeps_depth else "dali"
    ) or _by_pillow(file)
    return replace(image, depth=16) if deep else image


def _peek_webp(file: bytes, rule: PixelRule) -> EncodedImage:  # noqa: ARG001 - as the others
    file = with_plain_exif(file)
    return _by_dali(file) or _by_pillow(file)


def _peek_tiff(file: bytes, rule: PixelRule) -> EncodedImage:
    header = read_tiff_header(file)
    if header is None:
        return _by_pillow(file)
    kind = route_tiff(header, rule, helped=not missing(TIFF))
    if kind is None:
        with contextlib.suppress(DecodeError):
            return _by_pillow(file)
    if kind != PLAIN_TIFF:
        kind = TIFF
        _need(kind, f"TIFF of {header.samples}, {header.compression_name}")
    stored = 1 if header.planar else header.bands
    return EncodedImage(
        file,
        header.height,
        header.width,
        "helper",
        whole=True,
        orientation=header.orientation if 1 <= header.orientation <= 8 else 1,
        kind=kind,
        pixel_bytes=-(-header.depth // 8) * (stored + min(header.bands, 4)),
        depth=max(8, header.depth),
    )


def _peek_jpeg2000(file: bytes, rule: PixelRule) -> EncodedImage:
    header = read_jpeg2000_header(file)
    if header is None or route_jpeg2000(header, rule) == "pillow":
        return _by_pillow(file)
    _need(JPEG_2000, f"JPEG 2000 of {header.depth} bits, {len(header.bits)} components")
    pixel_bytes = 4 * len(header.bits)
    return EncodedImage(
        file,
        header.height,
        header.width,
        "helper",
        whole=True,
        pixel_bytes=pixel_bytes,
        depth=max(8, header.depth),
    )


def _peek_avif(file: bytes, rule: PixelRule) -> EncodedImage:
    depth = avif_depth(file)
    if depth == 8 or rule.color is not None or not rule.keeps_depth:
        return _by_pillow(file)
    _need(AVIF, f"AVIF of {depth} bits, of which Pillow gives 8")
    height, width, turned = read_with_pillow(
        file, lambda image: (image.height, image.width, image.getexif().get(_ORIENTATION, 1))
    )
    return EncodedImage(
        file, height, width, "helper", whole=True, orientation=turned, kind=AVIF, pixel_bytes=8, depth=depth
    )


def _peek_pnm(file: bytes, rule: PixelRule) -> EncodedImage:
    header = pnm_header(file)
    usual = header is not None and header.integer and not header.decimal and header.white in (255, 65535)
    if header is None or (usual and rule.window is None):
        return _by_dali(file) or _by_pillow(file)
    depth = 8 if header.integer and header.white < 256 else 16
    return EncodedImage(file, header.height, header.width, "numpy", whole=True, pixel_bytes=12, depth=depth)


def _peek_npy(file: bytes, rule: PixelRule) -> EncodedImage:
    header = npy_header(file)
    if header is None:
        raise DecodeError(
            "is no image: its array is not (height, width) or (height, width, bands) of numbers"
        )
    if header.dtype.kind == "i" and rule.window is None:
        raise needs_window(f"its samples are {header.dtype}, of which the header does not say what is white")
    height, width = header.shape[:2]
    itemsize = header.dtype.itemsize
    return EncodedImage(
        file, height, width, "numpy", whole=True, pixel_bytes=3 * itemsize, depth=8 * itemsize
    )


def _peek_sized(file: bytes, rule: PixelRule) -> EncodedImage:  # noqa: ARG001 - as the others
    """Formats whose size is read from the header here, or by their library."""
    kind = kind_of_file(file)
    _need(kind, kind.name)
    if kind in _SIZES:
        size = _SIZES[kind](file)
        if size is None or min(size) < 1:
            raise DecodeError(f"is broken: its header makes no sense, for {kind.name}")
        height, width, pixel_bytes, depth = *size, 24 if kind == LERC else 8, _depth_of(kind, file)
    else:
        try:
            height, width, pixel_bytes, depth = size_by_helper(kind, file)
        except FormatError as error:
            raise DecodeError(f"is broken: {kind.needs[0]} says {str(error)!r}") from error
    return EncodedImage(file, height, width, "helper", whole=True, pixel_bytes=pixel_bytes, depth=depth)


def _depth_of(kind: Kind, file: bytes) -> int:
    """Return the bits of a sample; 32 if they are stated in a part of the file that is not read."""
    header = jpeg_xl_header(file) if kind == JPEG_XL else None
    return 32 if header is None or header.bits is None else header.bits


def _peek_other(file: bytes, rule: PixelRule) -> EncodedImage:  # noqa: ARG001 - as the others
    # DALI exchanges the colours of such a BMP, or leaves white grey; Pillow refuses what it does not know.
    if is_masked_bmp(file):
        return _by_pillow(file)
    return _by_dali(file) or _by_pillow(file)


_PEEKS: dict[Kind, Callable[[bytes, PixelRule], EncodedImage]] = {
    JPEG: _peek_jpeg,
    PNG: _peek_png,
    WEBP: _peek_webp,
    TIFF: _peek_tiff,
    JPEG_2000: _peek_jpeg2000,
    PNM: _peek_pnm,
    NPY: _peek_npy,
    **dict.fromkeys((DICOM, HEIC, JPEG_XL, JPEG_XR, LERC), _peek_sized),
    AVIF: _peek_avif,
}
_SIZES: dict[Kind, Callable[[bytes], tuple[int, int] | None]] = {
    JPEG_XL: lambda file: (found.height, found.width) if (found := jpeg_xl_header(file)) else None,
    JPEG_XR: jpeg_xr_size,
    LERC: lerc_size,
}


def _by_pillow(file: bytes) -> EncodedImage:
    return EncodedImage(file, *peek_with_pillow(file), by="pillow", whole=True)


def _by_dali(file: bytes, by: Decodes = "dali") -> EncodedImage | None:
    """Return the result of DALI's parser; None if it refuses the file."""
    try:
        header = CodeStream(file)
        codec, height, width = header.codec_name, header.height, header.width
    except RuntimeError:
        return None
    return EncodedImage(file, height, width, by, _is_whole(file, codec))


def _need(kind: Kind, what: str) -> None:
    """Raise for a file that the second decoder would read if it were installed."""
    if missing(kind):
        raise DecodeError(
            f"needs the extra foveal[formats]: {what} – pip install 'foveal[formats]'", kind="unsupported"
        )


def _check_size(image: EncodedImage, max_pixels: int | None) -> None:
    check_pixels(image.height, image.width, max_pixels)
    stored = image.height * image.width * image.pixel_bytes
    if max_pixels is not None and stored > _MOST_PIXEL_BYTES * max_pixels:
        raise DecodeError(
            f"has more bands than max_pixels={max_pixels} allows: {stored:,} bytes of samples",
            kind="too_large",
        )


def _is_whole(file: bytes, codec: str) -> bool:
    """Checks what DALI's parser does not check. A PNG, for example, is read to its end."""
    match codec:
        case "jpeg":
            return file[-64:].rstrip(b"\0\r\n").endswith(b"\xff\xd9")
        case "webp":
            return int.from_bytes(file[4:8], "little") + 8 <= len(file)
        case _:
            return True
