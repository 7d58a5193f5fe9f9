"""The last resort: images that DALI refuses and Pillow reads, such as GIF and JPEGs with unusual markers."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from foveal.pipeline._decode_error import DecodeError

# Pillow knows more, some by starting other programs.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM")
_warning_filters = threading.Lock()
Image.init()  # or the rarer ones are unknown until they are first looked for


def peek_with_pillow(file: bytes) -> tuple[int, int]:
    """Return an image's height and width in pixels by its header.

    Raises:
        DecodeError: Pillow does not know it either.
    """
    with _opened(file) as image:
        return image.height, image.width


def decode_with_pillow(file: bytes) -> UInt8[Tensor, "_height _width 3"]:
    """Decode an image, of an animation the first frame: RGB, upright by its EXIF orientation.

    Raises:
        DecodeError: Pillow cannot decode it either.
    """
    with _opened(file) as image:
        return torch.from_numpy(np.array(ImageOps.exif_transpose(image).convert("RGB")))


@contextlib.contextmanager
def _opened(file: bytes) -> Iterator[Image.Image]:
    # A warning about one odd file of thousands helps nobody; the filters belong to the whole process.
    with _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(file), formats=_FORMATS) as image:
                yield image
        except UnidentifiedImageError:
            raise DecodeError(f"is nothing that DALI or Pillow knows: it begins with {file[:16]!r}") from None
        except Exception as error:  # whatever Pillow's plugins run into
            words = " ".join(str(error).split()) or type(error).__name__
            raise DecodeError(f"is broken: Pillow says {words!r}") from error
