"""Limits the memory of full-resolution images."""

import threading
from collections.abc import Iterable

from foveal.pipeline.decoding import DecodeError, EncodedImage

_BYTES = 3  # of a pixel


class Budget:
    """Bytes that images may take. Code that decodes takes a share, and code that frees the images returns it.

    Args:
        total: Number of bytes.
        strict: Whether an image that is larger than all of them is refused; otherwise it waits until nothing else is taken.
    """

    def __init__(self, total: float, *, strict: bool) -> None:
        self._total = total
        self._strict = strict
        self._taken = 0
        self._most = 0
        self._open = True
        self._changed = threading.Condition()

    @property
    def most_taken(self) -> int:
        """The largest number of bytes that were taken at once."""
        return self._most

    def check(self, image: EncodedImage) -> None:
        """Raise if an image would never fit.

        Raises:
            DecodeError: It is larger than the whole budget.
        """
        if self._strict and share_of([image]) > self._total:
            raise DecodeError(
                f"takes more memory than memory_budget={self._total:,.0f}: {image.height} × {image.width} pixels "
                f"(height × width), {share_of([image]):,} bytes",
                kind="too_large",
            )

    def has_room(self, share: int) -> bool:
        """Return whether ``take`` would not wait."""
        return self._taken + share <= self._total or self._taken == 0

    def take(self, share: int) -> None:
        """Wait until there is room, and take a share.

        Raises:
            ValueError: It is larger than the whole budget.
        """
        if self._strict and share > self._total:
            raise ValueError(
                f"memory_budget must hold the images that are zoomed together, {share:,} bytes, got {self._total:,.0f} – "
                "raise it, take smaller batches, or, if the zoom has batch norm, keep that in eval mode."
            )
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self.has_room(share))
            self._add(share)

    def take_now(self, share: int) -> None:
        """Take a share whether or not there is room, for a thread that would wait for shares which only it returns."""
        with self._changed:
            self._add(share)

    def _add(self, share: int) -> None:
        self._taken += share
        self._most = max(self._most, self._taken)

    def give_back(self, share: int) -> None:
        """Return a share."""
        with self._changed:
            self._taken -= share
            self._changed.notify_all()

    def close(self) -> None:
        """Stop all waiting: from now on every share is granted."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


def share_of(images: Iterable[EncodedImage]) -> int:
    """Return the bytes that images take while they are decoded, computed from their headers."""
    return sum(_BYTES * image.decoded_pixels for image in images)
