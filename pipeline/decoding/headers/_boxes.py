"""Reads depth and colour from the boxes of a JPEG 2000 file (JP2), a HEIC or an AVIF."""

from collections.abc import Iterator

# Colour primaries that count as sRGB: BT.709, which is sRGB's; unspecified; and the two of BT.601, which differ little
# from it.
_SRGB_PRIMARIES = {1, 2, 5, 6}
_CMYK = 12


def boxes(file: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, beginning and end of the content of each box, up to the first one that does not lie within the file."""
    end = len(file) if end is None else end
    while start + 8 <= end:
        length, kind, head = int.from_bytes(file[start : start + 4]), file[start + 4 : start + 8], 8
        if length == 1:
            length, head = int.from_bytes(file[start + 8 : start + 16]), 16
        length = length or end - start
        if length < head or start + length > end:
            return
        yield kind, start + head, start + length
        start += length


def jpeg2000_profile(file: bytes) -> bytes | None:
    """Return the colour profile of a JP2; None if it has none."""
    return next((file[start + 3 : end] for start, end in _jp2_profiles(file)), None)


def without_profile(file: bytes) -> bytes:
    """Return a JP2 with its profiles hidden, because imagecodecs would always convert by them."""
    for start, _ in _jp2_profiles(file):
        file = file[: start - 4] + b"free" + file[start:]
    return file


def is_cmyk(file: bytes) -> bool:
    """Return whether a JP2 says that its components are inks."""
    colours = _within(file, (b"jp2h", b"colr"))
    return any(
        file[start:end][:1] == b"\1" and int.from_bytes(file[start + 3 : end][:4]) == _CMYK
        for start, end in colours
    )


def heif_profile(file: bytes) -> bytes | None:
    """Return the colour profile of a HEIC or an AVIF; None if it has none.

    Raises:
        ValueError: It states its colours by numbers, and they are not sRGB's.
    """
    numbers = 2
    for start, end in _within(file, (b"meta", b"iprp", b"ipco", b"colr")):
        if file[start : start + 4] in (b"prof", b"rICC"):
            return file[start + 4 : end]
        if file[start : start + 4] == b"nclx":
            numbers = int.from_bytes(file[start + 4 : start + 6])
    if numbers not in _SRGB_PRIMARIES:
        raise ValueError(
            f"its colours are those of the primaries {numbers} (nclx), for which it has no profile"
        )
    return None


def avif_depth(file: bytes) -> int:
    """Return the bits of an AVIF's samples; 8 if it does not say."""
    for start, end in _within(file, (b"meta", b"iprp", b"ipco", b"av1C")):
        flags = file[start + 2] if end - start > 2 else 0
        return (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    return 8


def _jp2_profiles(file: bytes) -> list[tuple[int, int]]:
    """Return where the colour specifications lie that hold a profile."""
    found = _within(file, (b"jp2h", b"colr"))
    return [(start, end) for start, end in found if file[start : start + 1] in (b"\2", b"\3")]


def _within(file: bytes, path: tuple[bytes, ...]) -> list[tuple[int, int]]:
    """Return beginning and end of all boxes along a path from the outermost; a ``meta`` begins with a version."""
    found = [(0, len(file))]
    for kind in path:
        found = [
            (start + (4 if kind == b"meta" else 0), end)
            for outer in found
            for name, start, end in boxes(file, *outer)
            if name == kind
        ]
    return found
