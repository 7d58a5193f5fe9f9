"""Reads the headers of rarer formats."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from foveal.pipeline.decoding.headers._tiff import first_directory

_JPEG_XL = b"\xff\x0a"
_BMP_MASKS = (3, 6)  # compressions that stand for masks, of colours and of alpha, too
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True, slots=True)
class JpegXlHeader:
    """The header of a JPEG XL.

    Attributes:
        height: Pixels as they are stored.
        width: Pixels as they are stored.
        bits: Bits of an integer sample; None for floating point, and if a preview comes first.
        srgb: Whether its colours are certainly sRGB.
    """

    height: int
    width: int
    bits: int | None
    srgb: bool


def jpeg_xl_header(file: bytes) -> JpegXlHeader | None:
    """Return the header of a JPEG XL (ISO/IEC 18181-1, SizeHeader and ImageMetadata); None if there is no codestream."""
    stream = file[:64] if file.startswith(_JPEG_XL) else _jpeg_xl_codestream(file)
    if not stream.startswith(_JPEG_XL) or len(stream) < 16:
        return None
    bits = _Bits(stream[2:])
    height, width = bits.size()
    return JpegXlHeader(height, width, *_jpeg_xl_samples(bits))


def _jpeg_xl_samples(bits: "_Bits") -> tuple[int | None, bool]:
    """Return the bits of a sample, and whether the colours are certainly sRGB."""
    if bits.take(1):  # all as usual
        return 8, True
    if bits.take(1):  # extra fields
        bits.take(3)  # orientation
        if bits.take(1):
            bits.size()  # the intrinsic one
        if bits.take(1):  # a preview
            return None, False
        if bits.take(1):  # an animation: its clock, number of loops, and whether it has time codes
            bits.choice((0, 100), (0, 1000), (10, 1), (30, 1))
            bits.choice((0, 1), (0, 1001), (8, 1), (10, 1))
            bits.choice((0, 0), (3, 0), (16, 0), (32, 0))
            bits.take(1)
    if floating := bits.take(1):
        bits.choice((0, 32), (0, 16), (0, 24), (6, 1))
        bits.take(4)
    depth = None if floating else bits.choice((0, 8), (0, 10), (0, 12), (6, 1))
    bits.take(1)  # how large its buffers are
    extra = bits.choice((0, 0), (0, 1), (4, 2), (12, 1))
    usual_alpha = all(bits.take(1) for _ in range(min(extra, 4))) and extra <= 4
    bits.take(1)  # whether it is stored as XYB
    return depth, usual_alpha and _is_srgb(bits)


def _is_srgb(bits: "_Bits") -> bool:
    if bits.take(1):  # all as usual
        return True
    if bits.take(1):  # a profile
        return False

    def number() -> int:
        return bits.choice((0, 0), (0, 1), (4, 2), (6, 18))

    space = number()
    same_white = number() == 1
    same_primaries = space == 1 or number() == 1
    return space < 2 and same_white and same_primaries and not bits.take(1) and number() == 13


class _Bits:
    """Reads numbers of a given number of bits, the lowest bit first."""

    def __init__(self, content: bytes) -> None:
        self._left = int.from_bytes(content, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value

    def choice(self, *kinds: tuple[int, int]) -> int:
        """Return a number of one of four kinds, which differ in the number of bits and in an added constant."""
        count, added = kinds[self.take(2)]
        return added + self.take(count)

    def size(self) -> tuple[int, int]:
        small = self.take(1)
        height = self._side(small)
        across, down = _RATIOS[ratio] if (ratio := self.take(3)) else (0, 1)
        return height, (height * across // down if across else self._side(small))

    def _side(self, small: int) -> int:
        return 8 * (1 + self.take(5)) if small else self.choice((9, 1), (13, 1), (18, 1), (30, 1))


def _jpeg_xl_codestream(file: bytes) -> bytes:
    """Return the beginning of the codestream, which is in a box ``jxlc`` or in the first box ``jxlp``."""
    place = 0
    while place + 8 <= len(file):
        length, kind = int.from_bytes(file[place : place + 4]), file[place + 4 : place + 8]
        start = place + (16 if length == 1 else 8)
        if kind in (b"jxlc", b"jxlp"):
            start += 4 if kind == b"jxlp" else 0
            return file[start : start + 64]
        if length == 1:
            length = int.from_bytes(file[place + 8 : place + 16])
        if length < 8:
            break
        place += length
    return b""


def jpeg_xr_size(file: bytes) -> tuple[int, int] | None:
    """Return height and width of a JPEG XR; None if its directory has none."""
    try:
        tags = first_directory(b"II*\0" + file[4:])  # it is laid out as a TIFF is
        return tags[0xBC81][0], tags[0xBC80][0]
    except (KeyError, IndexError, struct.error):
        return None


def lerc_size(file: bytes) -> tuple[int, int] | None:
    """Return height and width of a LERC blob of version 2; None if it is truncated."""
    try:
        version = struct.unpack_from("<i", file, 6)[0]
        height, width = struct.unpack_from("<ii", file, 14 if version >= 3 else 10)
    except struct.error:
        return None
    return (height, width) if min(height, width) > 0 else None


def pnm_fields(file: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the words of a PNM's header without comments, and where each ends."""
    place = 0
    while place < len(file):
        if file[place : place + 1].isspace():
            place += 1
        elif file[place : place + 1] == b"#":
            place = (file.find(b"\n", place) + 1) or len(file)
        else:
            end = place
            while end < len(file) and not file[end : end + 1].isspace() and end - place < 32:
                end += 1
            yield file[place:end], end
            place = end


def is_masked_bmp(file: bytes) -> bool:
    """Return whether a file is a BMP that says by masks where the colours are in a pixel, such as 5 bits red, 6 green, 5 blue."""
    size, compression = (int.from_bytes(file[place : place + 4], "little") for place in (14, 30))
    return file[:2] == b"BM" and size >= 40 and compression in _BMP_MASKS
