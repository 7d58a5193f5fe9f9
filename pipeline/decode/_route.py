"""Who decodes which layout: what DALI gets wrong without an error is kept from it by what the header says.

Found by ``tests/pipeline/decode/test_tiff_layouts.py``, which writes every layout and compares with tifffile's reading.
"""

from foveal.pipeline.decode._decode_error import DecodeError
from foveal.pipeline.decode._encoded_image import Decodes
from foveal.pipeline.decode._levels import needs_window
from foveal.pipeline.decode._pixel_rule import PixelRule
from foveal.pipeline.decode.headers import Jpeg2000Header, JpegFrame, TiffHeader

_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_UNSIGNED, _FLOAT = 1, 3
# What DALI's libtiff has a codec for.
_DALI_COMPRESSIONS = {1, 5, 7, 8, 32773, 32946, 50000}
_FACSIMILE = {2, 3, 4}
# What Pillow's has beside those; its readings of 8-bit layouts agree with tifffile's.
_PILLOW_COMPRESSIONS = _DALI_COMPRESSIONS | _FACSIMILE | {6, 34925}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}


def route_tiff(header: TiffHeader, rule: PixelRule, *, helped: bool) -> Decodes:
    """Return who decodes a TIFF.

    Damaged ones of some layouts can end the process of DALI's decoder, so DALI has only those that nothing else reads.

    Args:
        header: What it says of itself.
        rule: How its samples shall become grey levels.
        helped: Whether the second decoder is installed.

    Raises:
        DecodeError: Nobody can say what is white in it.
    """
    if header.sample_format == 2 and rule.window is None:
        raise needs_window(
            f"its samples are {header.samples}, of which the header does not say what is white"
        )
    inverted = header.photometric == _WHITE_IS_ZERO and header.depth > 1
    if inverted and rule.window is not None:  # a window is of stored values, and others turn them round
        return "helper"
    if header.is_uniform and header.fill_order == 1 and rule.first_bands:
        by = _tiff_by_dali(header, rule)
        if by is not None:
            return "helper" if helped else "pillow" if _tiff_by_pillow_exactly(header, rule) else by
    return "pillow" if _tiff_by_pillow(header, rule) else "helper"


def _tiff_by_dali(header: TiffHeader, rule: PixelRule) -> Decodes | None:
    if header.planar or header.compression not in _DALI_COMPRESSIONS | _FACSIMILE or header.predictor > 3:
        return None
    kind, depth, bands = header.photometric, header.depth, header.bands
    colours = (kind == _GREY and bands != 2) or (kind == _RGB and bands >= 3)
    if header.sample_format == _FLOAT:
        return "dali32" if depth == 32 and colours and header.predictor in (1, 3) else None
    if header.sample_format != _UNSIGNED or header.predictor == 3:
        return None
    if depth == 16 and colours:
        return "dali16" if rule.keeps_depth else "dali"
    if depth == 1 and bands == 1 and kind in (_WHITE_IS_ZERO, _GREY):
        return "dali"
    inks = (
        (kind == _WHITE_IS_ZERO and bands == 1)
        or (kind == _CMYK and bands == 4)
        or (kind == _PALETTE and bands == 1)
    )
    chroma = kind == _YCBCR and header.compression == 7 and bands == 3
    return "dali" if depth == 8 and (colours or inks or chroma) else None


def _tiff_by_pillow_exactly(header: TiffHeader, rule: PixelRule) -> bool:
    # A fourth band may be alpha that colours were multiplied by, which Pillow divides them by.
    return header.bands != 4 and _tiff_by_pillow(header, rule)


def _tiff_by_pillow(header: TiffHeader, rule: PixelRule) -> bool:
    if not rule.first_bands or not header.is_uniform or header.sample_format != _UNSIGNED or header.depth > 8:
        return False
    if header.compression not in _PILLOW_COMPRESSIONS or header.predictor > 2:
        return False
    bands = {
        _WHITE_IS_ZERO: (1,),
        _GREY: (1,) if header.planar else (1, 2),
        _RGB: (3, 4),
        _PALETTE: (1,),
        _CMYK: (4,),
        _YCBCR: (3,),
        _LAB: (3,),
    }
    return header.bands in bands.get(header.photometric, ())


def route_jpeg(frame: JpegFrame | None) -> Decodes:
    """Return who decodes a JPEG: DALI has no codec for other depths than 8 bits, nor for lossless ones of one band."""
    if frame is None:
        return "dali"
    lossless = frame.kind in _LOSSLESS and (len(frame.factors) != 3 or frame.kind != 0xC3)
    return "helper" if frame.bits != 8 or lossless or frame.kind == 0xF7 else "dali"


def route_jpeg2000(header: Jpeg2000Header | None, rule: PixelRule) -> Decodes:
    """Return who decodes JPEG 2000: Pillow what has 8 bits, never DALI, which a damaged one can end.

    Raises:
        DecodeError: Nobody can say what is white in it.
    """
    if header is None:
        return "pillow"
    if header.signed and rule.window is None:
        raise needs_window("its samples are signed, of which the header does not say what is white")
    plain = not header.signed and set(header.bits) == {8} and len(header.bits) in (1, 2, 3, 4)
    return "pillow" if plain and rule.first_bands else "helper"


def check_bands(rule: PixelRule, kind: str) -> None:
    """Refuse bands that a format of at most three has not.

    Raises:
        DecodeError: One is not there.
    """
    if rule.bands is not None and max(rule.bands) > 2:
        raise DecodeError(
            f"has at most 3 bands, counted from 0, and bands={rule.bands} asks for {max(rule.bands)}: {kind}"
        )
