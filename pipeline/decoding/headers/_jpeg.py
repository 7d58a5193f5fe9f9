"""Reads the markers before a JPEG's first scan: its frame header and its EXIF blocks."""

from dataclasses import dataclass

_START_OF_SCAN, _APP1, _APP2, _APP14 = 0xDA, 0xE1, 0xE2, 0xEE
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}
# DHT, JPG and DAC have markers in the same range but begin no frame; 0xF7 is that of JPEG-LS.
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_EXIF, _PROFILE = b"Exif\0\0", b"ICC_PROFILE\0"
_ADOBE_LENGTH = 14  # bytes of its marker's segment

BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, JPEG_LS_FRAME = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7
_NAMES = {
    BASELINE: "baseline",
    EXTENDED: "extended",
    PROGRESSIVE: "progressive",
    LOSSLESS: "lossless",
    0xC9: "arithmetic",
    0xCA: "progressive arithmetic",
    0xCB: "lossless arithmetic",
}


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """The frame header of a JPEG.

    Attributes:
        kind: The second byte of its marker: 0xC0 for baseline, 0xF7 for JPEG-LS.
        bits: Bits of a sample.
        height: Pixels, before orientation; 0 if it is only stated after the first scan.
        width: Pixels, before orientation.
        factors: The (horizontal, vertical) sampling factors of each component.
    """

    kind: int
    bits: int
    height: int
    width: int
    factors: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        """Such as ``lossless JPEG``."""
        return "JPEG-LS" if self.kind == JPEG_LS_FRAME else f"{_NAMES.get(self.kind, 'hierarchical')} JPEG"


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """The information before the first scan.

    Attributes:
        exif: The EXIF blocks, each a TIFF file.
        frame: The only frame header; None if there is none, more than one, or a truncated one.
        profile: The colour profile; empty if there is none.
        adobe: Whether a marker of Adobe's says how its colours are stored.
    """

    exif: tuple[bytes, ...]
    frame: JpegFrame | None
    profile: bytes = b""
    adobe: bool = False


def read_jpeg_header(jpeg: bytes) -> JpegHeader | None:
    """Return the information before the first scan; None if the markers are malformed."""
    exif: list[bytes] = []
    frames: list[JpegFrame | None] = []
    profile, adobe = b"", False
    place = 2
    while jpeg[place : place + 1] == b"\xff":
        marker = jpeg[place + 1] if place + 1 < len(jpeg) else 0
        if marker == 0xFF:  # may be repeated
            place += 1
            continue
        if marker == _START_OF_SCAN:
            return JpegHeader(tuple(exif), frames[0] if len(frames) == 1 else None, profile, adobe)
        length = int.from_bytes(jpeg[place + 2 : place + 4])
        if marker in _WITHOUT_LENGTH or length < 2:
            return None
        if marker == _APP1 or marker in _FRAMES:
            segment = jpeg[place + 4 : place + 2 + length]
            if marker in _FRAMES:
                frames.append(_frame(marker, segment))
            elif segment.startswith(_EXIF):
                exif.append(segment[len(_EXIF) :])
        elif marker == _APP2 and jpeg.startswith(_PROFILE, place + 4):
            # A part begins after its number and the number of parts.
            profile += jpeg[place + 4 + len(_PROFILE) + 2 : place + 2 + length]
        elif marker == _APP14 and length >= _ADOBE_LENGTH and jpeg.startswith(b"Adobe", place + 4):
            adobe = True
        place += 2 + length
    return None


def _frame(kind: int, segment: bytes) -> JpegFrame | None:
    if len(segment) < 6 or len(segment) != 6 + 3 * segment[5]:
        return None
    height, width = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
    factors = tuple((byte >> 4, byte & 15) for byte in segment[7::3])
    return JpegFrame(kind, segment[0], height, width, factors)
