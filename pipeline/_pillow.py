"""The last resort: images that DALI refuses and Pillow reads, such as GIF and JPEGs with unusual markers."""

import io
import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from foveal.pipeline._decode_error import DecodeError

T = TypeVar("T")

# Pillow knows more, some by starting other programs.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM")
Image.init()  # or the rarer ones are unknown until they are first looked for


def peek_with_pillow(file: bytes) -> tuple[int, int]:
    """Return an image's height and width in pixels by its header.

    Raises:
        DecodeError: Pillow does not know it either.
    """
    return _read(file, lambda image: (image.height, image.width))


def decode_with_pillow(file: bytes) -> UInt8[Tensor, "_height _width 3"]:
    """Decode an image, of an animation the first frame: RGB, upright by its EXIF orientation.

    Raises:
        DecodeError: Pillow cannot decode it either.
    """
    return _read(
        file, lambda image: torch.from_numpy(np.array(ImageOps.exif_transpose(image).convert("RGB")))
    )


def _read(file: bytes, what: Callable[[Image.Image], T]) -> T:
    try:
        return _read_once(file, what)
    except Warning:  # the process makes errors of warnings; the image is none the worse for it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read_once(file, what)


def _read_once(file: bytes, what: Callable[[Image.Image], T]) -> T:
    try:
        with Image.open(io.BytesIO(file), formats=_FORMATS) as image:
            return what(image)
    except Warning:
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"is nothing that DALI or Pillow knows: it begins with {file[:16]!r}") from None
    except Exception as error:  # whatever Pillow's plugins run into
        words = " ".join(str(error).split()) or type(error).__name__
        raise DecodeError(f"is broken: Pillow says {words!r}") from error
