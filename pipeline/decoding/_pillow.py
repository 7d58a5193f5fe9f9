"""Decodes images that DALI refuses with Pillow, such as GIF, AVIF and JPEGs with unusual markers."""

import contextlib
import io
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from foveal.pipeline.decoding._decode_error import DecodeError
from foveal.pipeline.decoding._unwarned import unwarned
from foveal.pipeline.decoding.formats import Samples

T = TypeVar("T")

# Pillow knows more formats, some of which it reads by starting other programs.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")
Image.init()  # otherwise rarer formats would be unknown until they are first needed


def peek_with_pillow(file: bytes) -> tuple[int, int]:
    """Return an image's height and width in pixels by its header.

    Raises:
        DecodeError: Pillow does not know the format either.
    """
    return read_with_pillow(file, lambda image: (image.height, image.width))


def decode_with_pillow(file: bytes, *, profile: bytes | None = None) -> Samples:
    """Decode an image (the first frame of an animation), upright by its EXIF orientation.

    Args:
        file: All of it.
        profile: The colour profile to convert to sRGB by; None to leave colours as they are.

    Raises:
        DecodeError: Pillow cannot decode it either.
    """
    return read_with_pillow(file, lambda image: samples_of(turned_upright(image), profile))


def samples_of(image: Image.Image, profile: bytes | None = None) -> Samples:
    """Return the samples of an image of Pillow: RGB of 8 bits, converted to sRGB if there is a profile, or deeper grey as it is stored.

    Raises:
        DecodeError: Its profile cannot be used.
    """
    match image.mode:
        case "I;16" | "I;16B" | "I;16L" | "I;16N":
            return Samples(np.array(image).astype(np.uint16)[..., None], white=65535.0)
        case "I":  # signed, of 32 bits, except if a PNM of 16 bits was scaled
            return Samples(np.array(image)[..., None], white=65535.0 if image.format == "PPM" else None)
        case "F":
            return Samples(np.array(image)[..., None], white=1.0)
    converted = image.convert("RGB") if not profile else _to_srgb(image, profile)
    return Samples(np.array(converted), white=255.0)


def to_srgb(
    pixels: UInt8[np.ndarray, "_height _width bands"], profile: bytes
) -> UInt8[np.ndarray, "_height _width 3"]:
    """Convert RGB or CMYK by the profile of their file; a grey file has a profile for grey.

    Raises:
        DecodeError: The profile cannot be used.
    """
    image = Image.fromarray(pixels, None if pixels.shape[2] == 3 else "CMYK")
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except (OSError, ImageCms.PyCMSError) as error:
        raise _unusable(error) from error
    return np.array(_to_srgb(image.getchannel(0) if space == "GRAY" else image, profile))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert by LittleCMS, with the perceptual intent."""
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        grey = image.mode in ("1", "LA", "La")
        image = image.convert("L" if grey else "RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "L" and source.profile.xcolor_space.strip() != "GRAY":
            image = image.convert("RGB")
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ValueError, ImageCms.PyCMSError) as error:
        raise _unusable(error) from error
    if converted is None:
        raise _unusable(ValueError("no image"))
    return converted


def _unusable(error: Exception) -> DecodeError:
    return DecodeError(
        f"has a colour profile that cannot be used: LittleCMS says {' '.join(str(error).split())!r}",
        kind="unsupported",
    )


def turned_upright(image: Image.Image) -> Image.Image:
    """Return an image turned upright by its EXIF orientation; it keeps its format attribute."""
    upright = ImageOps.exif_transpose(image)
    upright.format = image.format
    return upright


def read_with_pillow(file: bytes, what: Callable[[Image.Image], T]) -> T:
    """Open an image, and return the result of a function of it.

    Raises:
        DecodeError: Pillow does not know the file, or the function raised because it is broken.
    """
    # If the process turns warnings into errors, the image itself is fine. Another thread may put back earlier filters: thrice.
    for manner in (contextlib.nullcontext, unwarned, unwarned):
        with contextlib.suppress(Warning), manner():
            return _read_once(file, what)
    with unwarned():
        return _read_once(file, what)


def _read_once(file: bytes, what: Callable[[Image.Image], T]) -> T:
    try:
        with Image.open(io.BytesIO(file), formats=_FORMATS) as image:
            return what(image)
    except (Warning, DecodeError):
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"is nothing that DALI or Pillow knows: it begins with {file[:16]!r}") from None
    except Exception as error:  # Pillow's plugins raise any exception
        words = " ".join(str(error).split()) or type(error).__name__
        raise DecodeError(f"is broken: Pillow says {words!r}") from error
