"""What Pillow decodes: images that DALI refuses, such as GIF and JPEGs with unusual markers, and masks of class ids."""

import io
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Int32, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from foveal.pipeline.decode._decode_error import DecodeError, check_pixels

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


def class_ids_with_pillow(
    file: bytes, *, max_pixels: int | None = None
) -> UInt8[Tensor, "_height _width"] | Int32[Tensor, "_height _width"]:
    """Decode a mask of class ids, upright by its EXIF orientation.

    Palette images give their indices, grey ones their values as they are stored; RGB counts where all pixels are grey.

    Raises:
        DecodeError: It is no image, has more pixels than ``max_pixels``, or colours without a palette.
    """
    if not file:
        raise DecodeError("is empty: 0 bytes")

    def ids(image: Image.Image) -> Tensor:
        check_pixels(image.height, image.width, max_pixels)
        ImageOps.exif_transpose(image, in_place=True)
        return torch.from_numpy(_ids(image, file))

    return _read(file, ids)


def _ids(image: Image.Image, file: bytes) -> Any:
    values = np.array(image)
    match image.mode:
        case "1" | "L" | "P":
            return values.astype(np.uint8) // _grey_step(file)
        case "I" | "I;16" | "I;16B" | "I;16L":
            return values.astype(np.int32)
        case "RGB" if all(np.array_equal(values[..., 0], values[..., k]) for k in (1, 2)):
            return values[..., 0].copy()
    raise DecodeError(f"holds no class ids: its pixels are {image.mode}")


def _grey_step(file: bytes) -> int:
    """Pillow spreads the values of a grey PNG of 2 or 4 bits over [0, 255]: return how far apart they come out."""
    depth_and_colours = file[24:26] if file.startswith(b"\x89PNG") else b""
    return {b"\2\0": 85, b"\4\0": 17}.get(depth_and_colours, 1)


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
    except (Warning, DecodeError):
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"is nothing that DALI or Pillow knows: it begins with {file[:16]!r}") from None
    except Exception as error:  # whatever Pillow's plugins run into
        words = " ".join(str(error).split()) or type(error).__name__
        raise DecodeError(f"is broken: Pillow says {words!r}") from error
