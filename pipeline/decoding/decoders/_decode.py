"""`decode`: a list of image files to pixels."""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from foveal.pipeline.decoding._decode_error import DecodeError
from foveal.pipeline.decoding._encoded_image import EncodedImage
from foveal.pipeline.decoding._peek import peek
from foveal.pipeline.decoding._pixel_rule import PLAIN, PixelRule
from foveal.pipeline.decoding.decoders._decoder import Decoder

_FILE = (bytes, bytearray, memoryview)


def decode(
    encoded: Sequence[bytes | bytearray | memoryview],
    *,
    device: torch.device | str = "cpu",
    num_threads: int | None = None,
    rule: PixelRule = PLAIN,
) -> list[UInt8[Tensor, "_height _width 3"]]:
    """Decode images at their full size, as a loader with ``decode="dali"`` does, all at once.

    A zoom of these images has the pixels of that loader. With ``decode="auto"``, the loader's default, some JPEGs are decoded
    for their zoom, so this differs a little; ``ZoomCollate(zoom)([(file,)])`` decodes a file as that loader does.

    Args:
        encoded: A list of whole image files.
        device: Where the pixels shall be.
        num_threads: Threads that decode; ``None`` for the processors that this process may use.
        rule: How samples become grey levels: window, bands, colour.

    Returns:
        An RGB image ``(height, width, 3)``, uint8, upright by its EXIF orientation, for each file.

    Raises:
        DecodeError: The first image that could not be decoded.
        TypeError: It is a file and no list of files, or one is not the bytes of a file; or ``num_threads`` is no whole number.
        ValueError: There is no such device, or ``num_threads`` is below 1.
    """
    if isinstance(encoded, _FILE):
        raise TypeError(
            f"encoded must be a list of image files, got one file as {type(encoded).__name__} – write decode([file])."
        )
    decoder = Decoder(device, num_threads=num_threads)
    if not encoded:
        return []
    with decoder:
        return decoder.start([_peeked(file, index, rule) for index, file in enumerate(encoded)]).pixels()


def _peeked(file: bytes | bytearray | memoryview, index: int, rule: PixelRule) -> EncodedImage:
    if not isinstance(file, _FILE):
        raise TypeError(
            f"encoded[{index}] must be the bytes of an image file, got {type(file).__name__} – read the file first."
        )
    try:
        return peek(bytes(file), rule=rule)
    except DecodeError as error:
        raise error.at(index) from error
