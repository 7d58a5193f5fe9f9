"""Turns images as data sets give them, decoded or not, into full-resolution pixels."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from foveal.pipeline.decoding import (
    MAX_PIXELS,
    PLAIN,
    ByLibjpeg,
    DecodeError,
    Decoder,
    EncodedImage,
    NeedsWindowError,
    PixelRule,
    encoded_of,
    levels_of_array,
    levels_of_picture,
    peek,
)

T = TypeVar("T", Tensor, NDArray[Any])


def as_pixels(
    images: Sequence[Any],
    *,
    first: int,
    device: torch.device,
    num_threads: int | None,
    plan_decoding: ByLibjpeg | None = None,
    rule: PixelRule = PLAIN,
) -> tuple[list[UInt8[Tensor, "_height _width 3"]], list[EncodedImage | None]]:
    """Return each image as (height, width, 3) uint8 on the device, and the encoded image that it was decoded from, if any.

    An image of Pillow that has not been read yet is decoded from its file, so that its pixels are those of the file.

    Args:
        images: Tensors or arrays, (height, width, 3), (3, height, width), (height, width, 1), (1, height, width) or
            (height, width), and with bands (height, width, bands); Pillow's images; encoded files.
        first: The position of the first image in the batch, for messages.
        device: The device for the pixels.
        num_threads: Threads that decode; None for one for each processor that this process may use.
        plan_decoding: Chooses the encoded files that libjpeg-turbo decodes, perhaps as smaller copies; None if DALI decodes all.
        rule: How samples become grey levels.

    Raises:
        ValueError: One has another shape, no pixels, or cannot be decoded.
        TypeError: One is of another type, or of a number type whose white value is unknown.
    """
    files = {
        k: _peek(file, first + k, plan_decoding, rule)
        for k, image in enumerate(images)
        if (file := _encoded(image)) is not None
    }
    decoded = dict(zip(files, _decode(files, first, device, num_threads), strict=True)) if files else {}
    pixels = [
        decoded[k] if k in decoded else _pixels(image, f"images[{first + k}]", rule).to(device)
        for k, image in enumerate(images)
    ]
    return pixels, [files.get(k) for k in range(len(images))]


def _encoded(image: Any) -> bytes | None:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    return encoded_of(image) if isinstance(image, Image.Image) else None


def _peek(file: bytes, place: int, plan_decoding: ByLibjpeg | None, rule: PixelRule) -> EncodedImage:
    try:
        image = peek(file, max_pixels=MAX_PIXELS, rule=rule)
    except DecodeError as error:
        raise _unreadable(place, error) from error
    return image if plan_decoding is None else plan_decoding(image, 0)


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


def _pixels(image: Any, name: str, rule: PixelRule) -> Tensor:
    try:
        if isinstance(image, Image.Image):
            return torch.from_numpy(levels_of_picture(image, rule))
        if not isinstance(image, Tensor | np.ndarray):
            raise TypeError(
                f"{name} must be a tensor or array, a PIL image or an encoded file, got {type(image).__name__}."
            )
        if _is_plain(image) and rule == PLAIN:
            return _channels_last(_as_tensor(image), name)
        return torch.from_numpy(levels_of_array(_bands_last(_as_array(image), name, rule), rule))
    except DecodeError as error:
        kind = TypeError if isinstance(error, NeedsWindowError) else ValueError
        raise kind(f"{name} must be a readable image, got one that {error.reason}.") from error


def _is_plain(image: Tensor | NDArray[Any]) -> bool:
    """Whether an image is RGB of 8 bits, which is passed on unchanged, on whatever device it is."""
    usual = image.dtype == (torch.uint8 if isinstance(image, Tensor) else np.uint8)
    return usual and image.ndim == 3 and 1 not in (image.shape[0], image.shape[2])


def _as_tensor(image: Tensor | NDArray[Any]) -> Tensor:
    if isinstance(image, Tensor):
        return image
    # torch refuses negative strides, and warns about read-only arrays
    return torch.from_numpy(np.require(image, requirements=("C", "W")))


def _as_array(image: Tensor | NDArray[Any]) -> NDArray[Any]:
    if not isinstance(image, Tensor):
        return image
    known = image.float() if image.dtype == torch.bfloat16 else image  # which NumPy does not have
    return known.detach().cpu().numpy()


def _bands_last(image: NDArray[Any], name: str, rule: PixelRule) -> NDArray[Any]:
    """Return a grey array, or one whose bands will be chosen, unchanged; any other as (height, width, 3)."""
    if image.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got {image.dtype}.")
    grey = image.ndim == 2 or (image.ndim == 3 and 1 in (image.shape[0], image.shape[2]))
    if image.size and (grey or (image.ndim == 3 and rule.bands is not None)):
        return image
    return _channels_last(image, name)


def _channels_last(image: T, name: str) -> T:
    shape = tuple(image.shape)
    if image.ndim == 3 and shape[0] == 3 and shape[2] != 3:
        image = image.swapaxes(0, 1).swapaxes(1, 2)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"{name} must be (height, width, 3) or (3, height, width), got shape {shape!r} – convert it to RGB, or give it as "
            "(height, width, bands) and pass bands."
        )
    if 0 in shape:
        raise ValueError(f"{name} must have pixels, got shape {shape!r}.")
    return image
