"""Images that a data set has already opened or decoded, converted to the decoder's pixels."""

import io
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image, ImageFile

from foveal.pipeline.decoding._arrays import has_bands_first
from foveal.pipeline.decoding._decode_error import DecodeError
from foveal.pipeline.decoding._levels import to_levels
from foveal.pipeline.decoding._pillow import samples_of, turned_upright
from foveal.pipeline.decoding._pixel_rule import PixelRule
from foveal.pipeline.decoding._route import check_bands
from foveal.pipeline.decoding.formats import Samples, as_bands, white_of


def encoded_of(image: Image.Image) -> bytes | None:
    """Return the file of an image of Pillow that was opened and not read yet; None if the image no longer equals its file.

    Pillow reads some files with fewer bits than they have, or with another white value, which cannot be seen afterwards.
    """
    stream = image.fp if isinstance(image, ImageFile.ImageFile) else None
    if stream is None or not getattr(image, "tile", None) or getattr(image, "tell", int)() != 0:
        return None
    try:
        place = stream.tell()
        stream.seek(0)
        file = bytes(stream.read())
        stream.seek(place)
        with Image.open(io.BytesIO(file)) as again:  # a draft has another size or mode
            return file if (again.size, again.mode) == (image.size, image.mode) else None
    except (OSError, ValueError):
        return None


def levels_of_picture(image: Image.Image, rule: PixelRule) -> UInt8[np.ndarray, "_height _width 3"]:
    """Return the levels of an image of Pillow, upright by the EXIF orientation that it still has.

    Raises:
        DecodeError: It cannot be read, needs a window, or has not these bands.
    """
    check_bands(rule, f"PIL image of mode {image.mode}")
    try:
        samples = samples_of(turned_upright(image), image.info.get("icc_profile") if rule.color else None)
    except DecodeError:
        raise
    except Exception as error:  # of any kind, from Pillow's plugins: an opened image may be read only now
        words = " ".join(str(error).split()) or type(error).__name__
        raise DecodeError(f"is broken: Pillow says {words!r}") from error
    levels: NDArray[Any] = to_levels(samples, rule.window)
    return levels if rule.bands is None else levels[..., list(rule.bands)]


def levels_of_array(values: NDArray[Any], rule: PixelRule) -> UInt8[np.ndarray, "_height _width 3"]:
    """Return the levels of an array (height, width), (height, width, bands) or (bands, height, width), as of a file that stores it.

    Raises:
        DecodeError: It needs a window, or has not these bands.
    """
    try:
        chosen = as_bands(np.moveaxis(values, 0, 2) if has_bands_first(values.shape) else values, rule.bands)
    except ValueError as error:
        raise DecodeError(str(error)) from error
    return to_levels(Samples(np.ascontiguousarray(chosen), white=white_of(values)), rule.window)
