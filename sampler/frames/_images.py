"""The two forms in which images arrive: one dense tensor, or many tensors of different sizes."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, UInt8, UInt16
from torch import Tensor

Ragged = Sequence[UInt8[Tensor, "_height _width 3"] | UInt16[Tensor, "_height _width 3"]]
Dense = Float[Tensor, "batch channel _height _width"] | UInt8[Tensor, "batch 3 _height _width"]
Images = Dense | Ragged

_TO_TENSOR = "torch.as_tensor(numpy.array(x)) makes one of a picture, an array or a list"
_ONE_FLOAT = "images[None] is a batch of one (channel, height, width) image"
_ONE_INTEGER = "pass single images as a list of (height, width, 3) uint8 tensors"

Border = Literal["replicate", "zeros"]
"""What lies beyond an image's border, or a map's: its outermost pixels again, or zeros."""


def check_images(images: Images) -> None:
    """Raise for images that no sampler can read; the message says which image it is.

    Raises:
        TypeError: An image is no tensor, or neither uint8 nor uint16 nor, in a dense tensor, floating point.
        ValueError: An image has the wrong number of dimensions or channels, or no pixels.
    """
    if isinstance(images, Tensor):
        _check_dense(images)
        return
    if not isinstance(images, Sequence):
        raise TypeError(
            f"images must be a tensor or a list of tensors, got {type(images).__name__} – {_TO_TENSOR}."
        )
    for position, image in enumerate(images):
        _check_one(image, f"images[{position}]")


def check_tensor(value: object, name: str) -> None:
    """Raise for what is no tensor, such as an array or a picture.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__} – {_TO_TENSOR}.")


def check_channels(small: Tensor, channels: int, network: str) -> None:
    """Raise for images that a network was not made for.

    Raises:
        ValueError: They have another number of channels.
    """
    if small.ndim != 4 or small.shape[1] != channels:
        raise ValueError(
            f"images must have {channels} channels for {network}, got shape {tuple(small.shape)!r} – repeat a grey channel, "
            "images.expand(-1, 3, -1, -1), or use a saliency module of your own."
        )


def as_ragged(images: Images) -> list[Tensor]:
    """Return integer images one by one as (height, width, channel) views; nothing is copied."""
    if isinstance(images, Tensor):
        return list(images.permute(0, 2, 3, 1).unbind(0))
    return list(images)


def grid_form(images: Images) -> tuple[torch.dtype, torch.device]:
    """Return the dtype and the device of an even grid for images: float64 for float64 images, else float32; for an empty list, on the CPU."""
    first = images if isinstance(images, Tensor) else next(iter(images), torch.empty(0))
    return torch.float64 if first.dtype == torch.float64 else torch.float32, first.device


def is_dense_float(images: Images) -> bool:
    """Whether the images are one floating-point tensor, which may require a gradient."""
    return isinstance(images, Tensor) and images.is_floating_point()


def _check_dense(images: Dense) -> None:
    if images.ndim != 4:
        raise ValueError(
            f"images must be (batch, channel, height, width), got shape {tuple(images.shape)!r}: "
            f"{_ONE_FLOAT if images.is_floating_point() else _ONE_INTEGER}."
        )
    if not images.is_floating_point() and images.dtype != torch.uint8:
        to_do = (
            "pass a list of (height, width, 3) tensors"
            if images.dtype == torch.uint16
            else "convert it first"
        )
        raise TypeError(f"images must be uint8 or floating point, got {images.dtype!r}: {to_do}.")
    if images.dtype == torch.uint8 and images.shape[1] != 3:
        to_do = "call images.permute(0, 3, 1, 2)" if images.shape[3] == 3 else "convert to RGB or float"
        raise ValueError(f"images must have 3 channels as uint8, got {images.shape[1]!r}: {to_do}.")
    if 0 in images.shape[1:]:
        raise ValueError(f"images must have pixels, got shape {tuple(images.shape)!r}: leave the batch out.")


def _check_one(image: Tensor, name: str) -> None:
    check_tensor(image, name)
    if image.dtype not in (torch.uint8, torch.uint16):
        raise TypeError(
            f"{name} must be uint8 or uint16, got {image.dtype!r}: floating-point images go in as one (batch, channel, height, width) tensor."
        )
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"{name} must be (height, width, 3), got shape {tuple(image.shape)!r}: permute to channels-last RGB."
        )
    if image.numel() == 0:
        raise ValueError(f"{name} must have pixels, got shape {tuple(image.shape)!r}: drop the image.")


def count(images: Images) -> int:
    """Return the number of images; ``len()`` would specialise a dynamic batch size while tracing."""
    return images.shape[0] if isinstance(images, Tensor) else len(images)
