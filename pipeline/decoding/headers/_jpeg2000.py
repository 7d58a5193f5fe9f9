"""Reads the components of a JPEG 2000 file from its header."""

import struct
from dataclasses import dataclass

from foveal.pipeline.decoding.headers._boxes import boxes, is_cmyk

_SIZ = b"\xff\x4f\xff\x51"
_MOST_COMPONENTS = 16384


@dataclass(frozen=True, slots=True)
class Jpeg2000Header:
    """The SIZ segment of a codestream.

    Attributes:
        height: Pixels.
        width: Pixels.
        bits: Precision of each component.
        signed: Whether any component has signed samples.
        cmyk: Whether the first four components are inks.
    """

    height: int
    width: int
    bits: tuple[int, ...]
    signed: bool
    cmyk: bool = False

    @property
    def depth(self) -> int:
        """Bits of the deepest component."""
        return max(self.bits)


def read_jpeg2000_header(file: bytes) -> Jpeg2000Header | None:
    """Return the header of a JPEG 2000 codestream or JP2 file; None if there is no codestream."""
    start = _start_of_codestream(file)
    if start is None:
        return None
    try:
        _, _, right, bottom, left, top = struct.unpack_from(">HH4I", file, start + 4)
        count = struct.unpack_from(">H", file, start + 40)[0]
        depths = file[start + 42 : start + 42 + 3 * count : 3]
    except struct.error:
        return None
    if not 0 < count == len(depths) <= _MOST_COMPONENTS or right <= left or bottom <= top:
        return None
    bits = tuple((depth & 127) + 1 for depth in depths)
    signed = any(depth & 128 for depth in depths)
    return Jpeg2000Header(bottom - top, right - left, bits, signed, cmyk=len(bits) >= 4 and is_cmyk(file))


def _start_of_codestream(file: bytes) -> int | None:
    """Return where the SIZ segment begins: at the start, or in the box ``jp2c``, which may be truncated."""
    if file.startswith(_SIZ):
        return 0
    place = 0
    for kind, start, end in boxes(file):
        if kind == b"jp2c":
            return start if file.startswith(_SIZ, start) else None
        place = end
    wide = int.from_bytes(file[place : place + 4]) == 1
    start = place + (16 if wide else 8)
    return start if file[place + 4 : place + 8] == b"jp2c" and file.startswith(_SIZ, start) else None
