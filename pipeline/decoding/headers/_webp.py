"""Corrects the EXIF chunk of a WebP so that DALI finds the orientation."""

_PREFIX = b"Exif\0\0"


def with_plain_exif(webp: bytes) -> bytes:
    """Return a WebP whose EXIF chunk begins as the specification says: with the TIFF header.

    libvips (and sharp) put six bytes before it, as in JPEG, and DALI then finds no orientation. A file without such a
    chunk is returned unchanged.
    """
    if webp[12:16] != b"VP8X" or not webp[20:21] or not webp[20] & 8:  # no EXIF
        return webp
    place = 12
    while place + 8 <= len(webp):
        size = int.from_bytes(webp[place + 4 : place + 8], "little")
        end = place + 8 + size + size % 2
        if webp[place : place + 4] == b"EXIF":
            return _rewritten(webp, place, size, end)
        place = end
    return webp


def _rewritten(webp: bytes, place: int, size: int, end: int) -> bytes:
    block = webp[place + 8 : place + 8 + size]
    if not block.startswith(_PREFIX) or end > len(webp) + 1:
        return webp
    plain = block[len(_PREFIX) :]
    chunk = b"EXIF" + len(plain).to_bytes(4, "little") + plain + b"\0" * (len(plain) % 2)
    body = webp[8:place] + chunk + webp[end:]
    return b"RIFF" + len(body).to_bytes(4, "little") + body
