"""Chooses the decoder for each layout by the header: files that DALI would decode wrong without an error are not given to it.

The choices were found by ``tests/pipeline/decoding/test_tiff_layouts.py``, which writes every layout and compares the
result with tifffile's.
"""

from foveal.pipeline.decoding._decode_error import DecodeError, needs_window
from foveal.pipeline.decoding._encoded_image import Decodes
from foveal.pipeline.decoding._pixel_rule import PixelRule
from foveal.pipeline.decoding.headers import PLAIN_TIFF, TIFF, Jpeg2000Header, JpegFrame, Kind, TiffHeader

_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_UNSIGNED, _FLOAT = 1, 3
# Compressions for which nvImageCodec's libtiff has a codec.
_NVIMGCODEC_COMPRESSIONS = {1, 5, 7, 8, 32773, 32946, 50000}
_OLD_JPEG, _JPEG = 6, 7
# Further compressions of Pillow's libtiff; its results for 8-bit layouts agree with tifffile's.
_PILLOW_COMPRESSIONS = _NVIMGCODEC_COMPRESSIONS | {2, 3, 4, _OLD_JPEG, 34925}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}


def route_tiff(header: TiffHeader, rule: PixelRule, *, helped: bool) -> Kind | None:
    """Return the kind by which the helper process reads a TIFF; None if Pillow reads it.

    Never DALI: a damaged TIFF can end its process.

    Args:
        header: Its header.
        rule: How its samples are to become grey levels.
        helped: Whether tifffile and imagecodecs are installed.

    Raises:
        DecodeError: Its white value is unknown.
    """
    if header.sample_format == 2 and rule.window is None:
        raise needs_window(
            f"its samples are {header.samples}, of which the header does not say what is white"
        )
    inverted = header.photometric == _WHITE_IS_ZERO and header.depth > 1
    if inverted and rule.window is not None:  # a window is in stored values, which the other readers invert
        return TIFF
    by_pillow = _tiff_by_pillow(header, rule)
    if helped:
        return None if by_pillow and _beyond_tifffile(header) else TIFF
    # A fourth band may be premultiplied alpha, by which Pillow divides the colours.
    if by_pillow and (header.photometric, header.bands) != (_RGB, 4):
        return None
    return PLAIN_TIFF if _tiff_by_nvimgcodec(header, rule) else TIFF


def _beyond_tifffile(header: TiffHeader) -> bool:
    chroma = header.photometric == _YCBCR and header.compression != _JPEG
    return chroma or header.photometric == _LAB or header.compression == _OLD_JPEG


def _tiff_by_nvimgcodec(header: TiffHeader, rule: PixelRule) -> bool:
    if (
        not rule.first_bands
        or not header.is_uniform
        or header.planar
        or header.fill_order != 1
        or header.levels > 1
    ):
        return False
    if header.compression not in _NVIMGCODEC_COMPRESSIONS:
        return False
    kind, bands = header.photometric, header.bands
    if not ((kind == _GREY and bands != 2) or (kind == _RGB and bands >= 3)):
        return False
    if header.sample_format == _FLOAT:
        return header.depth == 32 and header.predictor in (1, 3)
    return header.sample_format == _UNSIGNED and header.depth in (8, 16, 32) and header.predictor in (1, 2)


def _tiff_by_pillow(header: TiffHeader, rule: PixelRule) -> bool:
    if not rule.first_bands or not header.is_uniform or header.sample_format != _UNSIGNED or header.depth > 8:
        return False
    if header.levels > 1 or header.palette_of_bytes:
        return False
    if header.compression not in _PILLOW_COMPRESSIONS or header.predictor > 2:
        return False
    bands = {
        _WHITE_IS_ZERO: (1,),
        _GREY: (1,) if header.planar else (1, 2),
        _RGB: (3, 4),
        _PALETTE: (1,),
        _CMYK: (4,) if header.inks == 1 else (),
        _YCBCR: (3,),
        _LAB: (3,),
    }
    return header.bands in bands.get(header.photometric, ())


def route_jpeg(frame: JpegFrame | None) -> Decodes:
    """Return the decoder of a JPEG: DALI has no codec for depths other than 8 bits, nor for lossless ones with one band."""
    if frame is None:
        return "dali"
    lossless = frame.kind in _LOSSLESS and (len(frame.factors) != 3 or frame.kind != 0xC3)
    return "helper" if frame.bits != 8 or lossless or frame.kind == 0xF7 else "dali"


def route_jpeg2000(header: Jpeg2000Header | None, rule: PixelRule) -> Decodes:
    """Return the decoder of a JPEG 2000: Pillow for 8 bits; never DALI, whose process a damaged file can end.

    Raises:
        DecodeError: Its white value is unknown.
    """
    if header is None:
        return "pillow"
    if header.signed and rule.window is None:
        raise needs_window("its samples are signed, of which the header does not say what is white")
    plain = not header.signed and set(header.bits) == {8} and len(header.bits) in (1, 2, 3, 4)
    return "pillow" if plain and rule.first_bands else "helper"


def check_bands(rule: PixelRule, kind: str) -> None:
    """Raise if bands are chosen that a format of at most three bands does not have.

    Raises:
        DecodeError: A band does not exist.
    """
    if rule.bands is not None and max(rule.bands) > 2:
        raise DecodeError(
            f"has at most 3 bands, counted from 0, and bands={rule.bands} asks for {max(rule.bands)}: {kind}",
            kind="unsupported",
        )
