"""Pictures, and files of them."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def encode(pixels: np.ndarray[Any, Any] | Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Return an image file as Pillow writes it."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(seed: int, height: int, width: int) -> np.ndarray[Any, Any]:
    """Return a smooth random picture, which JPEG keeps well."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def complaints(stderr: str) -> list[str]:
    """Return the lines that a process wrote to standard error, except those about kernels that are being compiled."""
    compiling = (
        "Foveal compiles its CPU kernels",
        "Compiling kernels for ",
        "Compiling more kernels for ",
        "Waiting for another process that compiles kernels for ",
    )
    return [line for line in stderr.splitlines() if not line.startswith(compiling)]


def npy(array: Any) -> bytes:
    """Return an array as an ``npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def huge(width: int, height: int) -> bytes:
    """Return a PNG that claims a size."""
    file = bytearray(encode(picture(0, 8, 8), "PNG"))
    file[16:24] = struct.pack(">II", width, height)
    return bytes(file)


def png(depth: int, colours: int, rows: list[bytes], width: int) -> bytes:
    """Return a PNG that is written byte by byte, because Pillow does not write all depths."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colours, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(48))) if colours == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + pixels + chunk(b"IEND", b"")
