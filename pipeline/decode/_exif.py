"""How a JPEG lies: the EXIF orientation in its header, and what turns decoded pixels upright."""

import numpy as np
from numpy.typing import NDArray

_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}
_EXIF = b"Exif\0\0"
_ORIENTATION, _SHORT = 0x0112, 3


def exif_blocks(jpeg: bytes) -> list[bytes] | None:
    """Return the EXIF blocks of a JPEG's header, each a TIFF file; None where the header is not as it should be."""
    blocks: list[bytes] = []
    place = 2
    while jpeg[place : place + 1] == b"\xff":
        marker = jpeg[place + 1] if place + 1 < len(jpeg) else 0
        if marker == 0xFF:  # may be repeated
            place += 1
            continue
        if marker == _START_OF_SCAN:
            return blocks
        length = int.from_bytes(jpeg[place + 2 : place + 4])
        if marker in _WITHOUT_LENGTH or length < 2:
            return None
        segment = jpeg[place + 4 : place + 2 + length] if marker == _APP1 else b""
        if segment.startswith(_EXIF):
            blocks.append(segment[len(_EXIF) :])
        place += 2 + length
    return None


def orientation_of(block: bytes) -> int | None:
    """Return the orientation, 1 to 8, that an EXIF block (a TIFF file) states; 1 where it states none.

    None where readers would differ: the block is damaged, or writes the number in an unusual way.
    """
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return None
    little = block.startswith(b"II")

    def number(place: int, size: int) -> int:
        return int.from_bytes(block[place : place + size], "little" if little else "big")

    directory = number(4, 4)
    entries = range(directory + 2, directory + 2 + 12 * number(directory, 2), 12)
    if directory < 8 or entries.stop > len(block):
        return None
    found = [entry for entry in entries if number(entry, 2) == _ORIENTATION]
    if not found:
        return 1
    if len(found) > 1 or number(found[0] + 2, 2) != _SHORT or number(found[0] + 4, 4) != 1:
        return None
    stated = number(found[0] + 8, 2)
    return stated if 1 <= stated <= 8 else 1


def turns_sideways(orientation: int) -> bool:
    """Say whether height and width change places."""
    return orientation >= 5


def upright(pixels: NDArray[np.void], orientation: int) -> NDArray[np.void]:
    """Return a view of an image (height, width) that shows it upright; nothing is moved."""
    if turns_sideways(orientation):
        pixels = pixels.T
    # What is first in the file: 1 top left, 2 top right, 3 bottom right, 4 bottom left, and 5 to 8 likewise, transposed.
    upside_down = orientation in {3, 4, 7, 8}
    mirrored = orientation in {2, 3, 6, 7}
    return pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
