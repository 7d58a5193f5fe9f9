"""What the header of an encoded image says: who can decode it, and how large it will be.

Nothing is decoded, nothing is allocated. What DALI's parser refuses would fail with all of its batch, so it is kept
out of DALI's way; what claims to be too large is refused before anybody makes room for it.
"""

import os
from dataclasses import dataclass
from typing import Literal

from foveal.pipeline.decode._decode_error import DecodeError, check_pixels
from foveal.pipeline.decode._exif import exif_blocks, turns_sideways
from foveal.pipeline.decode._pillow import peek_with_pillow

# Read when the library is loaded; it would write to stderr about every odd image, which the loader reports once.
os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")
from nvidia.nvimgcodec import CodeStream

# DALI's parser and decoder of these can end the process on a damaged one (a fuzzer found it); Pillow's cannot.
_JPEG_2000 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
# Where Pillow, too, takes a file for an attack on the memory.
MAX_PIXELS = 178_956_970


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image file and what its header says.

    Attributes:
        file: The whole file.
        height: Pixels, before EXIF orientation.
        width: Pixels, before EXIF orientation.
        by: Who decodes it: DALI, or Pillow where DALI does not, or libjpeg-turbo where somebody decided so.
        whole: Whether it ends as files of its kind do. One that does not may have been cut, or something follows it.
        scale: What its sides are divided by as it is decoded, by libjpeg-turbo: 1, 2, 4 or 8.
        orientation: As EXIF counts it, 1 to 8, where libjpeg-turbo decodes it; others know by themselves.
    """

    file: bytes
    height: int
    width: int
    by: Literal["dali", "pillow", "libjpeg"]
    whole: bool
    scale: Literal[1, 2, 4, 8] = 1
    orientation: int = 1

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width of the original as its orientation would have it seen."""
        return (self.width, self.height) if turns_sideways(self.orientation) else (self.height, self.width)

    @property
    def decoded_pixels(self) -> int:
        """Pixels that are in memory while it is decoded: those that come out, and what they are made from."""
        pixels = -(-self.height // self.scale) * -(-self.width // self.scale)
        return pixels if self.orientation == 1 else 2 * pixels


def peek(file: bytes, *, max_pixels: int | None = None) -> EncodedImage:
    """Read an image's header, in a few microseconds.

    Args:
        file: A whole file, of any content.
        max_pixels: The most pixels it may have, None for no limit.

    Raises:
        DecodeError: It is empty, too large, or nothing that DALI or Pillow knows.
    """
    if not file:
        raise DecodeError("is empty: 0 bytes")
    image = _as_dali_reads(file) or EncodedImage(file, *peek_with_pillow(file), by="pillow", whole=True)
    check_pixels(image.height, image.width, max_pixels)
    return image


def _as_dali_reads(file: bytes) -> EncodedImage | None:
    if file.startswith(_JPEG_2000):
        return None
    if file.startswith(_PNG):
        file = _still(file)
    if file.startswith(_JPEG) and not _lies_one_way(file):
        return None
    try:
        header = CodeStream(file)
        codec, height, width = header.codec_name, header.height, header.width
        grey_alpha_tiff = codec == "tiff" and header.num_channels == 2  # DALI makes noise of it
    except RuntimeError:
        return None
    return None if grey_alpha_tiff else EncodedImage(file, height, width, "dali", _is_whole(file, codec))


def _lies_one_way(jpeg: bytes) -> bool:
    """Of two EXIF blocks DALI's parsers read different ones; where these differ, pixels are written past their memory."""
    blocks = exif_blocks(jpeg)
    return blocks is not None and len(blocks) <= 1


def _still(png: bytes) -> bytes:
    """Return a PNG without what makes it move, and nothing where a chunk does not lie within the file.

    Of a damaged animation DALI's decoder can end the process, and it allocates what a chunk's length claims, up to
    2 GB for a small image.
    """
    chunks, place = [png[: len(_PNG)]], len(_PNG)
    while (end := place + 12 + int.from_bytes(png[place : place + 4])) <= len(png):
        kind = png[place + 4 : place + 8]
        if kind not in _ANIMATION:
            chunks.append(png[place:end])
        if kind == b"IEND":
            return png if sum(map(len, chunks)) == end else b"".join(chunks)
        place = end
    return b""


def _is_whole(file: bytes, codec: str) -> bool:
    """What DALI's parser has not looked at: a PNG, for one, it reads to its end."""
    match codec:
        case "jpeg":
            return file[-64:].rstrip(b"\0\r\n").endswith(b"\xff\xd9")
        case "webp":
            return int.from_bytes(file[4:8], "little") + 8 <= len(file)
        case _:
            return True
