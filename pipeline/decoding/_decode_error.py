"""What is wrong with an image."""

from typing import Literal

Avoidable = Literal["too_large", "unsupported"]
"""Faults of files that other settings, or another package, would read."""

DecodeFault = Literal["corrupt", Avoidable]


class DecodeError(Exception):
    """An image that cannot be decoded. Reads as ``image 3 is empty: 0 bytes``.

    Attributes:
        reason: What is wrong with it, as in "is empty: 0 bytes".
        index: The number of the image among those given to the decoder; None if there was just one.
        kind: ``"corrupt"``; or ``"too_large"`` or ``"unsupported"`` if the image is intact and could be read with other
            settings or another package.
    """

    def __init__(self, reason: str, index: int | None = None, kind: DecodeFault = "corrupt") -> None:
        super().__init__(reason, index, kind)  # as args, so that it pickles
        self.reason = reason
        self.index = index
        self.kind: DecodeFault = kind

    def __str__(self) -> str:
        return f"image {self.reason}" if self.index is None else f"image {self.index} {self.reason}"

    def at(self, index: int) -> "DecodeError":
        """Return the same error for one of several images."""
        return type(self)(self.reason, index, self.kind)


class NeedsWindowError(DecodeError):
    """An image of which nothing says what is black and what is white."""


def needs_window(why: str) -> NeedsWindowError:
    """Return the error for samples whose black and white values are unknown."""
    return NeedsWindowError(
        f"needs a window: {why} – pass window=(low, high) or 'auto', or --window low:high", kind="unsupported"
    )


def check_pixels(height: int, width: int, max_pixels: int | None) -> None:
    """Raise if an image is too large by its header.

    Raises:
        DecodeError: It has more than ``max_pixels`` pixels.
    """
    if max_pixels is not None and height * width > max_pixels:
        size = f"{height} × {width} pixels (height × width)"
        raise DecodeError(f"has more pixels than max_pixels={max_pixels}: {size}", kind="too_large")
