"""HEIC by pillow-heif: libheif turns the image as the boxes in the file say."""

import io
from typing import Any

import numpy as np

from foveal.pipeline.decoding.formats._samples import Samples, as_bands, white_of


def heif_size(file: bytes) -> tuple[int, int, int, int]:
    """Return height, width, bytes of a pixel and bits of a sample of the primary image, upright."""
    image = _opened(file)
    return image.size[1], image.size[0], 8, int(image.info.get("bit_depth", 8))


def read_heif(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode the primary image of a HEIC file."""
    image = _opened(file)
    values = as_bands(np.asarray(image), bands)
    return Samples(values, white=white_of(values, int(image.info.get("bit_depth", 8))))


def _opened(file: bytes) -> Any:
    from pillow_heif import open_heif, options  # noqa: PLC0415 - an extra

    options.DECODE_THREADS = 1
    return open_heif(io.BytesIO(file), convert_hdr_to_8bit=False, hdr_to_16bit=False)
