"""JPEGs by libjpeg-turbo: what DALI's CPU decoder would give, bit for bit at full scale, and small copies for less work."""

import numpy as np
import simplejpeg
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from foveal.pipeline.decode._encoded_image import EncodedImage
from foveal.pipeline.decode.headers import upright
from foveal.pipeline.flow import Buffers

Pixels = NDArray[np.uint8]


def decode_jpeg(image: EncodedImage, buffers: Buffers) -> UInt8[Tensor, "_height _width 3"]:
    """Decode a JPEG at the scale and in the orientation that it was peeked with, into memory that is used again.

    Each side is that of the original divided by the scale, rounded up: the last pixels of the copy may stand for more than
    there is, as :func:`frame_of` says.

    Raises:
        ValueError: The file is damaged, or of a kind that libjpeg-turbo does not decode.
    """
    pixels = _decoded(image, buffers)
    # One element a pixel: numpy then moves three bytes at a time.
    whole = upright(pixels.view("V3")[..., 0], image.orientation)
    return torch.from_numpy(_contiguous(whole, buffers))


def _decoded(image: EncodedImage, buffers: Buffers) -> Pixels:
    height, width = -(-image.height // image.scale), -(-image.width // image.scale)
    # The least size is what chooses the scale; without one simplejpeg decodes as a whole.
    least = {} if image.scale == 1 else {"min_height": height, "min_width": width, "min_factor": image.scale}
    buffer = buffers.take(3 * height * width)
    pixels: Pixels = simplejpeg.decode_jpeg(image.file, "RGB", buffer=buffer, **least)
    if pixels.shape != (height, width, 3):
        raise ValueError(f"image must decode to {(height, width, 3)!r}, got {pixels.shape!r}.")
    return buffer.reshape(pixels.shape)


def _contiguous(whole: NDArray[np.void], buffers: Buffers) -> Pixels:
    if not whole.flags.c_contiguous:
        moved = buffers.take(whole.nbytes).view("V3").reshape(whole.shape)
        np.copyto(moved, whole)
        whole = moved
    return whole.view(np.uint8).reshape(*whole.shape, 3)
