"""Images whose pixels are labels: masks of class ids, heat maps. Their values are kept exactly as the file stores them."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from foveal.pipeline.decoding._decode_error import DecodeError, check_pixels
from foveal.pipeline.decoding._pillow import read_with_pillow
from foveal.pipeline.decoding._stored_values import read_exactly, stored_values
from foveal.pipeline.decoding.headers import TIFF, kind_of_file, read_tiff_header

_JPEG = (6, 7)  # compressions of a TIFF


class LabelImage(NamedTuple):
    """An image of labels, upright by its EXIF orientation."""

    values: Any
    """(height, width) grey values, or indices of a palette, as they are stored, whichever of them is white; or (height, width, 3) uint8 colours."""

    palette: Any = None
    """(n, 3) uint8, the colour of each index, if the file has a palette."""

    lossy: str | None = None
    """The file format, if its compression changes values; None otherwise."""

    @property
    def is_grey(self) -> bool:
        """Whether it has one value for each pixel, which includes images with equal channels."""
        values = self.values
        return values.ndim == 2 or all(np.array_equal(values[..., 0], values[..., k]) for k in (1, 2))

    @property
    def grey(self) -> Any:
        """(height, width), the values of an image that is grey."""
        return self.values if self.values.ndim == 2 else self.values[..., 0].copy()


def label_image(file: bytes, *, max_pixels: int | None = None) -> LabelImage:
    """Decode an image of labels.

    Raises:
        DecodeError: It is not an image, has more pixels than ``max_pixels``, or has pixels whose values cannot be kept
            exactly.
    """
    if not file:
        raise DecodeError("is empty: 0 bytes")
    exact = read_exactly(file, max_pixels)
    if exact is not None:
        return LabelImage(exact, lossy=_lossy_tiff(file))

    def read(image: Image.Image) -> LabelImage:
        check_pixels(image.height, image.width, max_pixels)
        lossy = _lossy_format(image, file)
        ImageOps.exif_transpose(image, in_place=True)
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3) if image.mode == "P" else None
        return LabelImage(_values(image, file), palette, lossy)

    return read_with_pillow(file, read)


def _values(image: Image.Image, file: bytes) -> Any:
    values = stored_values(image, file)
    match image.mode:
        case "1" | "L" | "P":
            return values.astype(np.uint8, copy=False)
        case "I" | "I;16" | "I;16B" | "I;16L":
            return values.astype(np.int32)
        case "F" | "RGB":
            return values
        case "LA" | "RGBA":
            if (values[..., -1] < 255).any():
                raise DecodeError(
                    f"holds no class ids: its pixels are {image.mode}, and some are transparent"
                )
            return values[..., 0] if image.mode == "LA" else values[..., :3]
    raise DecodeError(f"holds no class ids: its pixels are {image.mode}")


def _lossy_format(image: Image.Image, file: bytes) -> str | None:
    match image.format:
        case "JPEG" | "MPO":
            return "JPEG"
        case "AVIF":
            return "AVIF"
        case "WEBP" if b"VP8L" not in file:  # the name of the chunk with losslessly compressed pixels
            return "lossy WebP"
    return _lossy_tiff(file)


def _lossy_tiff(file: bytes) -> str | None:
    header = read_tiff_header(file) if kind_of_file(file) == TIFF else None
    return "TIFF of JPEG" if header is not None and header.compression in _JPEG else None
