"""Zoomed images as files. Equal pixels give equal bytes."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from jaxtyping import Num, UInt16
from PIL import Image

from foveal.pipeline.fields import encode_array
from foveal.tools.console.choices import ImageFormat


def encode_image(pixels: Num[np.ndarray, "height width 3"], image_format: ImageFormat, quality: int) -> bytes:
    """Return an image file. JPEG keeps the full colour resolution (4:4:4), because a zoomed image has few pixels.

    Args:
        pixels: uint8; uint16 for ``png16``; of any type for ``npy``.
        image_format: Of the file.
        quality: The quality of JPEG and WebP.
    """
    if image_format == "npy":
        return encode_array(pixels)
    if image_format == "png16":
        return _png16(pixels)
    options: dict[str, dict[str, Any]] = {
        "jpg": {"format": "JPEG", "quality": quality, "subsampling": 0, "optimize": True},
        "webp": {"format": "WEBP", "quality": quality, "method": 4},
        "png": {"format": "PNG"},
    }
    return _file(Image.fromarray(pixels), **options[image_format])


def _png16(pixels: UInt16[np.ndarray, "height width 3"]) -> bytes:
    """Return a PNG of 16 bits: grey if all pixels are, else RGB. Pillow can only write grey ones."""
    grey = bool((pixels == pixels[..., :1]).all())
    height, width = pixels.shape[:2]
    stored = (pixels[..., :1] if grey else pixels).astype(">u2")
    rows = stored.reshape(height, -1).view(np.uint8)
    left = np.zeros_like(rows)
    left[:, 2 * stored.shape[2] :] = rows[:, : -2 * stored.shape[2]]
    # PNG's filter 1: each pixel as its difference from the pixel to its left.
    lines = np.hstack([np.ones((height, 1), np.uint8), rows - left])
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if grey else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _file(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
