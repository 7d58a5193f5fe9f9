"""What is known of the images that were zoomed last, in parts or together."""

import torch
from torch import Tensor


class ZoomedLast:
    """Keeps tensors with an entry for each image while images are zoomed, until those of a batch are taken."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []

    def keep(self, entries: Tensor) -> None:
        """Keep the entries of some images more."""
        self._kept.append(entries)

    def take(self, count: int) -> Tensor:
        """Return the entries of the last images, and forget all.

        Raises:
            ValueError: There are fewer, or ``count`` is 0.
        """
        known = sum(map(len, self._kept))
        if not 0 < count <= known:
            raise ValueError(
                f"losses must be those of images that were zoomed in training mode since the last call, {known} at most, "
                f"got {count} – make the trial before the first batch, and call zoom.train()."
            )
        entries = torch.cat(self._kept)[known - count :]
        self.forget()
        return entries

    def forget(self) -> None:
        """Forget all entries."""
        self._kept.clear()
