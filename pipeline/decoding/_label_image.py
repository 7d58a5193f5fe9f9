"""Images whose pixels are labels: masks of class ids, heat maps. Their values are kept exactly as the file stores them."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from foveal.pipeline.decoding._decode_error import DecodeError, check_pixels
from foveal.pipeline.decoding._pillow import read_with_pillow


class LabelImage(NamedTuple):
    """An image of labels, upright by its EXIF orientation."""

    values: Any
    """(height, width) grey values, or indices of a palette, as they are stored; or (height, width, 3) uint8 colours."""

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

    def read(image: Image.Image) -> LabelImage:
        check_pixels(image.height, image.width, max_pixels)
        lossy = _lossy_format(image, file)
        ImageOps.exif_transpose(image, in_place=True)
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3) if image.mode == "P" else None
        return LabelImage(_values(image, file), palette, lossy)

    return read_with_pillow(file, read)


def _values(image: Image.Image, file: bytes) -> Any:
    depth, colours = _png_header(file)
    if depth == 16 and colours:
        raise DecodeError("holds no class ids: it has several channels of 16 bits")
    values = np.array(image)
    match image.mode:
        case "1" | "L" | "P":
            # Pillow spreads the values of a grey PNG of 2 or 4 bits over [0, 255].
            step = {(2, 0): 85, (4, 0): 17}.get((depth, colours), 1)
            return values.astype(np.uint8) // step if step > 1 else values.astype(np.uint8, copy=False)
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


def _png_header(file: bytes) -> tuple[int, int]:
    """Return the bit depth and the colour type of a PNG; for other files, values that need no special treatment."""
    return (file[24], file[25]) if file.startswith(b"\x89PNG") and len(file) > 25 else (8, 0)


def _lossy_format(image: Image.Image, file: bytes) -> str | None:
    match image.format:
        case "JPEG" | "MPO":
            return "JPEG"
        case "AVIF":
            return "AVIF"
        case "WEBP" if b"VP8L" not in file:  # the name of the chunk with losslessly compressed pixels
            return "lossy WebP"
        case "TIFF" if image.info.get("compression") == "jpeg":
            return "TIFF of JPEG"
    return None
