"""JPEGs by libjpeg-turbo: at full scale the same pixels as DALI's CPU decoder, bit for bit; smaller copies take less time."""

import numpy as np
import simplejpeg
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from foveal.pipeline.decoding._encoded_image import EncodedImage
from foveal.pipeline.decoding.headers import upright
from foveal.pipeline.flow import Buffers

Pixels = NDArray[np.uint8]


def decode_jpeg(image: EncodedImage, buffers: Buffers) -> UInt8[Tensor, "_height _width 3"]:
    """Decode a JPEG at the scale and in the orientation that :func:`peek` found, into reused memory.

    Each side is that of the original divided by the scale, rounded up: the last pixels of the copy may reach beyond the
    original, see :func:`frame_of`.

    Raises:
        ValueError: The file is damaged, or of a kind that libjpeg-turbo does not decode.
    """
    pixels = _decoded(image, buffers)
    # One element for each pixel, so that numpy moves three bytes at a time.
    whole = upright(pixels.view("V3")[..., 0], image.orientation)
    return torch.from_numpy(_contiguous(whole, buffers))


def _decoded(image: EncodedImage, buffers: Buffers) -> Pixels:
    height, width = -(-image.height // image.scale), -(-image.width // image.scale)
    # simplejpeg chooses the scale by the least size; without one it decodes at full size.
    least = {} if image.scale == 1 else {"min_height": height, "min_width": width, "min_factor": image.scale}
    buffer = buffers.take(3 * height * width)
    # The fast transform rounds down: pictures become darker by 0.5 to 0.8 grey levels on average.
    pixels: Pixels = simplejpeg.decode_jpeg(
        image.file, "RGB", fastdct=False, fastupsample=not image.smooth_colour, buffer=buffer, **least
    )
    if pixels.shape != (height, width, 3):
        raise ValueError(f"image must decode to {(height, width, 3)!r}, got {pixels.shape!r}.")
    return buffer.reshape(pixels.shape)


def _contiguous(whole: NDArray[np.void], buffers: Buffers) -> Pixels:
    if not whole.flags.c_contiguous:
        moved = buffers.take(whole.nbytes).view("V3").reshape(whole.shape)
        np.copyto(moved, whole)
        whole = moved
    return whole.view(np.uint8).reshape(*whole.shape, 3)
