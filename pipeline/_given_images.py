"""Images as data sets give them, decoded or not, to full-resolution pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from foveal.pipeline.decode import MAX_PIXELS, ByLibjpeg, DecodeError, Decoder, EncodedImage, peek


def as_pixels(
    images: Sequence[Any],
    *,
    first: int,
    device: torch.device,
    num_threads: int | None,
    by_whom: ByLibjpeg | None = None,
) -> tuple[list[UInt8[Tensor, "_height _width 3"]], list[tuple[int, int]]]:
    """Return each image as (height, width, 3) uint8 on the device, and the (height, width) of each original.

    Args:
        images: uint8 tensors or arrays, (height, width, 3) or (3, height, width); Pillow's images; encoded files.
        first: The place of the first of them in the batch, for messages.
        device: Where the pixels shall be.
        num_threads: Threads that decode, None for the processors that this process may use.
        by_whom: Chooses the encoded files that libjpeg-turbo decodes, perhaps as smaller copies; None if DALI decodes all.

    Raises:
        ValueError: One has another shape, no pixels, or cannot be decoded.
        TypeError: One is of another type.
    """
    files = {
        k: _peek(bytes(image), first + k, by_whom) for k, image in enumerate(images) if _is_encoded(image)
    }
    decoded = dict(zip(files, _decode(files, first, device, num_threads), strict=True)) if files else {}
    pixels = [
        decoded[k] if k in decoded else _pixels(image, f"images[{first + k}]").to(device)
        for k, image in enumerate(images)
    ]
    sizes = [(image.shape[0], image.shape[1]) for image in pixels]
    for k, file in files.items():
        sizes[k] = file.original_size(pixels[k])
    return pixels, sizes


def _is_encoded(image: Any) -> bool:
    return isinstance(image, bytes | bytearray | memoryview)


def _peek(file: bytes, place: int, by_whom: ByLibjpeg | None) -> EncodedImage:
    try:
        image = peek(file, max_pixels=MAX_PIXELS)
    except DecodeError as error:
        raise _unreadable(place, error) from error
    return image if by_whom is None else by_whom(image, 0)


def _decode(
    files: dict[int, EncodedImage], first: int, device: torch.device, num_threads: int | None
) -> list[Tensor]:
    with Decoder(device, num_threads=num_threads) as decoder:
        try:
            return decoder.start(list(files.values())).pixels()
        except DecodeError as error:
            raise _unreadable(first + list(files)[error.index or 0], error) from error


def _unreadable(place: int, error: DecodeError) -> ValueError:
    return ValueError(f"images[{place}] must be a readable image, got one that {error.reason}.")


def _pixels(image: Any, name: str) -> Tensor:
    if isinstance(image, Image.Image):
        image = _loaded(image, name)
    if not isinstance(image, Tensor | np.ndarray):
        raise TypeError(
            f"{name} must be a uint8 tensor or array, a PIL image or an encoded file, got {type(image).__name__}."
        )
    if image.dtype != (torch.uint8 if isinstance(image, Tensor) else np.uint8):
        raise TypeError(f"{name} must be uint8, got {image.dtype} – the zoom scales to [0, 1] itself.")
    if isinstance(
        image, np.ndarray
    ):  # torch refuses negative strides, and warns of what cannot be written to
        image = torch.from_numpy(np.require(image, requirements=("C", "W")))
    return _channels_last(image, name)


def _loaded(image: Image.Image, name: str) -> Any:
    try:
        return np.array(image.convert("RGB"))  # an image that was opened is read only now
    except Exception as error:  # whatever Pillow's plugins run into
        raise ValueError(
            f"{name} must be a readable image, got one of which Pillow says {str(error)!r}."
        ) from error


def _channels_last(image: Tensor, name: str) -> Tensor:
    shape = tuple(image.shape)
    if image.ndim == 3 and shape[0] == 3 and shape[2] != 3:
        image = image.permute(1, 2, 0)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"{name} must be (height, width, 3) or (3, height, width), got shape {shape!r} – convert it to RGB."
        )
    if image.numel() == 0:
        raise ValueError(f"{name} must have pixels, got shape {shape!r}.")
    return image
