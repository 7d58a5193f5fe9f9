"""Zoomed images as files. Equal pixels give equal bytes."""

import io
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from foveal.pipeline.fields import encode_array
from foveal.tools.console.choices import ImageFormat


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


def _file(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
