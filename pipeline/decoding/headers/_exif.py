"""EXIF orientation: how it is read from a block of EXIF, and how it turns decoded pixels upright."""

from typing import Any

from numpy.typing import NDArray

_ORIENTATION, _SHORT = 0x0112, 3


def orientation_of(block: bytes) -> int | None:
    """Return the orientation, 1 to 8, that an EXIF block (a TIFF file) states; 1 if it states none.

    None if readers would disagree: the block is damaged, or stores the number in an unusual way.
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
    """Return whether height and width are exchanged."""
    return orientation >= 5


def flips(orientation: int) -> tuple[bool, bool]:
    """Return whether rows, and whether columns, are in reverse, after height and width were exchanged where they are."""
    # The first pixel in the file is: 1 top left, 2 top right, 3 bottom right, 4 bottom left; 5 to 8 are the same,
    # transposed.
    return orientation in {3, 4, 7, 8}, orientation in {2, 3, 6, 7}


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return an upright view of an image (height, width, ...); nothing is copied."""
    if turns_sideways(orientation):
        pixels = pixels.swapaxes(0, 1)
    upside_down, mirrored = flips(orientation)
    return pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
