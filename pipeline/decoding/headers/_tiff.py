"""Reads the first directory of a TIFF. Nothing is decoded, and no number in it is trusted."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_BYTES_OF = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
# A directory has about twenty entries. If an entry claims more values than this, it is not read.
_MOST_ENTRIES, _MOST_VALUES = 4096, 4096

COMPRESSIONS = {
    1: "no compression",
    2: "CCITT RLE",
    3: "CCITT Group 3",
    4: "CCITT Group 4",
    5: "LZW",
    6: "old-style JPEG",
    7: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
    33003: "JPEG 2000 (Aperio, YCbCr)",
    33004: "JPEG 2000",
    33005: "JPEG 2000 (Aperio, RGB)",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG (DNG)",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    22610: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


@dataclass(frozen=True, slots=True)
class TiffHeader:
    """The tags of a TIFF's first image, or their defaults if the file has none.

    Attributes:
        height: Pixels, before orientation.
        width: Pixels, before orientation.
        bits: Bits of each band's samples.
        formats: Number format of each band's samples: 1 unsigned, 2 signed, 3 floating point.
        bands: Number of samples of a pixel.
        photometric: 0 is grey with 0 as white, 1 grey, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 CIELAB.
        planar: Whether each band is stored separately.
        compression: The number of the compression in the specification.
        predictor: 1 for none, 2 for differences, 3 for differences of floating point.
        fill_order: 2 where the bits of each byte lie in reverse.
        orientation: 1 to 8.
        nodata: The stored value that means "no data", as GDAL writes it.
        inks: 1 for cyan, magenta, yellow and black; 2 for others.
        levels: Pixels along the third axis of a volume; 1 of images.
        palette_of_bytes: Whether all entries of the palette are below 256, although they should go up to 65535.
    """

    height: int
    width: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    bands: int
    photometric: int
    planar: bool
    compression: int
    predictor: int
    fill_order: int
    orientation: int
    nodata: float | None
    inks: int
    levels: int
    palette_of_bytes: bool

    @property
    def depth(self) -> int:
        """Bits of the deepest band."""
        return max(self.bits)

    @property
    def is_uniform(self) -> bool:
        """Whether all bands are of one kind."""
        return len(set(self.bits)) == 1 and len(set(self.formats)) == 1

    @property
    def sample_format(self) -> int:
        """The number format of the first band: 1 unsigned, 2 signed, 3 floating point; 4, "undefined", counts as unsigned."""
        return 1 if self.formats[0] == 4 else self.formats[0]

    @property
    def samples(self) -> str:
        """The name of the samples' type, such as ``int16``."""
        names = {1: "uint", 2: "int", 3: "float"}
        return f"{names.get(self.sample_format, 'complex')}{self.depth}"

    @property
    def compression_name(self) -> str:
        """Such as ``JPEG XL (50002)``."""
        return f"{COMPRESSIONS.get(self.compression, 'unknown compression')} ({self.compression})"


def read_tiff_header(file: bytes) -> TiffHeader | None:
    """Return the header of a TIFF's (or BigTIFF's) first image; None if it is not a TIFF or is invalid."""
    try:
        tags = first_directory(file)
        bands = _one(tags, 277, 1)
        if not 1 <= bands <= 65535:
            return None
        header = TiffHeader(
            height=tags[257][0],
            width=tags[256][0],
            bits=_each(tags, 258, bands, 1),
            formats=_each(tags, 339, bands, 1),
            bands=bands,
            photometric=_one(tags, 262, -1),
            planar=_one(tags, 284, 1) == 2 and bands > 1,
            compression=_one(tags, 259, 1),
            predictor=_one(tags, 317, 1),
            fill_order=_one(tags, 266, 1),
            orientation=_one(tags, 274, 1),
            nodata=_number(tags.get(42113, ())),
            inks=_one(tags, 332, 1),
            levels=_one(tags, 32997, 1),
            palette_of_bytes=max(tags.get(320, (256,))) < 256,
        )
    except (KeyError, IndexError, struct.error):
        return None
    sensible = header.height > 0 and header.width > 0 and min(header.bits) > 0
    return header if sensible else None


def _one(tags: dict[int, tuple[int, ...]], tag: int, default: int) -> int:
    return tags[tag][0] if tag in tags else default


def _number(characters: tuple[int, ...]) -> float | None:
    try:
        return float(bytes(characters).split(b"\0")[0])
    except ValueError:
        return None


def _each(tags: dict[int, tuple[int, ...]], tag: int, bands: int, default: int) -> tuple[int, ...]:
    """Return a value for each band; if fewer are stored, the first counts for all, as in libtiff."""
    values = tags.get(tag, (default,))
    return values[:bands] if len(values) >= bands else (values[0],)


def tiff_profile(file: bytes) -> bytes | None:
    """Return the colour profile of a TIFF's first image; None if there is none or the file is invalid."""
    try:
        return next((file[start : start + n] for tag, _, n, start in _entries(file) if tag == 34675), None)
    except (KeyError, struct.error):
        return None


def first_directory(file: bytes) -> dict[int, tuple[int, ...]]:
    """Return the integers of each tag of the first directory, and the characters of texts.

    Tags that hold something else, or too many values, are left out.

    Raises:
        KeyError: It is not a TIFF.
        struct.error: It is truncated.
    """
    order = {b"II": "<", b"MM": ">"}[file[:2]]
    tags: dict[int, tuple[int, ...]] = {}
    for tag, kind, number, start in _entries(file):
        if kind in _FORMS and 0 < number <= _MOST_VALUES:
            tags.setdefault(tag, _unpack(f"{order}{number}{_FORMS[kind]}", file, start))
    return tags


def _unpack(form: str, file: bytes, place: int) -> tuple[int, ...]:
    """Return numbers at a place that may be any of 64 bits; struct itself raises another error beyond 63."""
    if place > len(file):
        raise struct.error(f"there is nothing at {place}")
    return struct.unpack_from(form, file, place)


def _entries(file: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, type, number of values, and where they begin, of each entry of the first directory."""
    order = {b"II": "<", b"MM": ">"}[file[:2]]
    version = _unpack(f"{order}H", file, 2)[0]
    if version == 43:
        place = _unpack(f"{order}Q", file, 8)[0]
        count, place, size, wide = _unpack(f"{order}Q", file, place)[0], place + 8, 20, "Q"
    elif version == 42:
        place = _unpack(f"{order}I", file, 4)[0]
        count, place, size, wide = _unpack(f"{order}H", file, place)[0], place + 2, 12, "I"
    else:
        raise KeyError(version)
    for entry in range(place, place + min(count, _MOST_ENTRIES) * size, size):
        tag, kind, number = _unpack(f"{order}HH{wide}", file, entry)
        start = entry + (8 if wide == "I" else 12)
        if number * _BYTES_OF.get(kind, 1) > (4 if wide == "I" else 8):
            start = _unpack(f"{order}{wide}", file, start)[0]
        yield tag, kind, number, start
