"""The form of the output's pixels: normalisation, precision and memory order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PixelFormat:
    """The four arguments of :func:`sample` that say how its result is written.

    Raises:
        TypeError: A dtype that is no floating point.
        ValueError: A mean or std is invalid, or they have different lengths.
    """

    mean: tuple[float, ...] | None = None
    """For each channel, the number that is subtracted; None for 0."""

    std: tuple[float, ...] | None = None
    """For each channel, the divisor that is applied afterwards; None for 1."""

    dtype: torch.dtype | None = None
    """The dtype of the result; None for that of the grid."""

    channels_last: bool = False
    """Whether the channels of a pixel lie side by side in memory; the order of the axes is the same."""

    def __post_init__(self) -> None:
        """Raise for invalid arguments."""
        if self.mean is not None and not all(map(math.isfinite, self.mean)):
            raise ValueError(f"mean must be finite, got {self.mean!r} – leave it out to subtract nothing.")
        if self.std is not None and not all(0 < value < math.inf for value in self.std):
            raise ValueError(
                f"std must be positive and finite, got {self.std!r} – leave it out to divide by nothing."
            )
        if self.dtype is not None and not self.dtype.is_floating_point:
            raise TypeError(
                f"dtype must be floating point, got {self.dtype!r} – use torch.float32, torch.float16 or torch.bfloat16."
            )

    def scale_and_shift(self, channels: int) -> tuple[list[float], list[float]]:
        """Return for each channel the factor 1 / std and the summand -mean / std.

        Raises:
            ValueError: Not one number per channel.
        """
        for name, given in (("mean", self.mean), ("std", self.std)):
            if given is not None and len(given) != channels:
                raise ValueError(
                    f"{name} must be {channels} numbers, one for each channel, got {given!r} – give one for each."
                )
        mean = self.mean or (0.0,) * channels
        std = self.std or (1.0,) * channels
        return [1 / b for b in std], [-a / b for a, b in zip(mean, std, strict=True)]

    def written(
        self, pixels: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Convert pixels to this form with operations that autograd can differentiate."""
        scale, shift = self.scale_and_shift(pixels.shape[1])
        if self.mean is not None or self.std is not None:
            scales, shifts = (pixels.new_tensor(values)[:, None, None] for values in (scale, shift))
            pixels = pixels * scales + shifts
        order = torch.channels_last if self.channels_last else torch.preserve_format
        return pixels.to(self.dtype or pixels.dtype, memory_format=order)


def pixel_format(
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    dtype: torch.dtype | None,
    channels_last: bool,
) -> PixelFormat:
    """Return the form for arguments as users give them, including lists, arrays and tensors of numbers."""
    return PixelFormat(_numbers(mean), _numbers(std), dtype, bool(channels_last))


def _numbers(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(value) for value in values)
