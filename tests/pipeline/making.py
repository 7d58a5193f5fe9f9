"""Pictures, and files of them."""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image


def encode(pixels: np.ndarray[Any, Any] | Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """An image file as Pillow writes it."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(seed: int, height: int, width: int) -> np.ndarray[Any, Any]:
    """A smooth random picture, so that JPEG keeps it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def complaints(stderr: str) -> list[str]:
    """What a process wrote to standard error, but for what it says while kernels are compiled, as on a new machine."""
    compiling = ("Foveal compiles its CPU kernels", "Compiling ")
    return [line for line in stderr.splitlines() if not line.startswith(compiling)]


def npy(array: Any) -> bytes:
    """An array as an ``npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def huge(width: int, height: int) -> bytes:
    """A PNG that claims a size."""
    file = bytearray(encode(picture(0, 8, 8), "PNG"))
    file[16:24] = struct.pack(">II", width, height)
    return bytes(file)
