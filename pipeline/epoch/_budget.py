"""How much of full-resolution images may be in memory at once."""

import threading
from collections.abc import Iterable

from foveal.pipeline.decode import DecodeError, EncodedImage

_BYTES = 3  # of a pixel


class Budget:
    """Bytes that images may take: whoever decodes takes a share, whoever releases the images gives it back.

    Args:
        total: How many there are.
        strict: Whether what is larger than all of them is refused; else it waits until nothing else is taken.
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
        """The most bytes that were ever taken at once."""
        return self._most

    def check(self, image: EncodedImage) -> None:
        """Refuse an image that would never find room.

        Raises:
            DecodeError: It is larger than all there is.
        """
        if self._strict and share_of([image]) > self._total:
            raise DecodeError(
                f"takes more memory than memory_budget={self._total:,.0f}: {image.height} × {image.width} pixels "
                f"(height × width), {share_of([image]):,} bytes",
                kind="too_large",
            )

    def has_room(self, share: int) -> bool:
        """Say whether ``take`` would not wait."""
        return self._taken + share <= self._total or self._taken == 0

    def take(self, share: int) -> None:
        """Wait until there is room, and take a share.

        Raises:
            ValueError: There never will be.
        """
        if self._strict and share > self._total:
            raise ValueError(
                f"memory_budget must hold the images that are zoomed together, {share:,} bytes, got {self._total:,.0f} – "
                "raise it, take smaller batches, or keep the zoom's batch norm in eval mode."
            )
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self.has_room(share))
            self._taken += share
            self._most = max(self._most, self._taken)

    def give_back(self, share: int) -> None:
        """Make room for others."""
        with self._changed:
            self._taken -= share
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of who waits: from now on there is room."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


def share_of(images: Iterable[EncodedImage]) -> int:
    """Return the bytes that images take while they are decoded, by their headers."""
    return sum(_BYTES * image.decoded_pixels for image in images)
