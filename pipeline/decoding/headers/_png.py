"""PNG: chunks."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def without_animation(png: bytes) -> bytes:
    """Return a PNG without its animation chunks; empty if a chunk does not lie within the file.

    A damaged animation can end the process of DALI's decoder, and the decoder allocates what a chunk's length claims, up
    to 2 GB for a small image.
    """
    chunks, place = [png[: len(_SIGNATURE)]], len(_SIGNATURE)
    while (end := place + 12 + int.from_bytes(png[place : place + 4])) <= len(png):
        kind = png[place + 4 : place + 8]
        if kind not in _ANIMATION:
            chunks.append(png[place:end])
        if kind == b"IEND":
            return png if sum(map(len, chunks)) == end else b"".join(chunks)
        place = end
    return b""
