"""Masks as PNG files."""

import io
from typing import Any

import numpy as np
from PIL import Image


def encode_mask(values: Any, palette: Any = None) -> bytes:
    """Return a PNG of class ids, grey or with a palette, or of colours. Equal masks give equal bytes.

    Args:
        values: (height, width) integers, of 8 bits in the file if these suffice, else of 16; or (height, width, 3) uint8.
        palette: (n, 3) uint8, the colours of indices; None for grey.

    Raises:
        ValueError: An id needs more than 16 bits, or is negative.
    """
    buffer = io.BytesIO()
    _image(values, palette).save(buffer, format="PNG")
    return buffer.getvalue()


def _image(values: Any, palette: Any) -> Image.Image:
    if values.ndim == 3:
        return Image.fromarray(values)
    least, most = int(values.min(initial=0)), int(values.max(initial=0))
    if least < 0 or most > 65535:
        raise ValueError(f"class ids must be at most 65535 in a PNG, got {most if least >= 0 else least}.")
    if palette is None or most >= len(palette):
        return Image.fromarray(values.astype(np.uint8 if most < 256 else np.uint16))
    image = Image.frombytes("P", values.shape[::-1], values.astype(np.uint8).tobytes())
    image.putpalette(palette.tobytes())
    return image
