"""Zoomed images and masks as files. Equal pixels give equal bytes."""

import io
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from foveal.tools.offline.recipe import ImageFormat


def encode_image(
    pixels: UInt8[np.ndarray, "height width 3"], image_format: ImageFormat, quality: int
) -> bytes:
    """Return an image file. JPEG keeps all of the colour (4:4:4): zoomed pixels are dear."""
    if image_format == "npy":
        return encode_array(pixels)
    options: dict[str, dict[str, Any]] = {
        "jpg": {"format": "JPEG", "quality": quality, "subsampling": 0, "optimize": True},
        "webp": {"format": "WEBP", "quality": quality, "method": 4},
        "png": {"format": "PNG"},
    }
    return _file(Image.fromarray(pixels), **options[image_format])


def encode_mask(ids: Int[np.ndarray, "height width"]) -> bytes:
    """Return a grey PNG of class ids, of 8 bits where that suffices, else of 16.

    Raises:
        ValueError: An id is more than 16 bits hold.
    """
    if ids.max(initial=0) > 65535:
        raise ValueError(f"class ids must be at most 65535 in a PNG, got {int(ids.max())}.")
    kind = np.uint8 if ids.max(initial=0) < 256 else np.uint16
    return _file(Image.fromarray(ids.astype(kind)), format="PNG")


def encode_array(array: np.ndarray[Any, Any]) -> bytes:
    """Return a NumPy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _file(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
