"""The interface through which a loader's samplers and dataset use it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int64

from foveal.pipeline.epoch import BatchPlan, LoaderOptions
from foveal.shards import EpochOrder


class Loader(Protocol):
    """The part of a loader that they use."""

    @property
    def epoch(self) -> int:
        """The epoch that iterating begins."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return the loader's position."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position."""

    def __iter__(self) -> Iterator[Any]:
        """Begin at that position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A loader, as its samplers and its dataset use it. Values that may change are read from the loader each time.

    Attributes:
        loader: The loader.
        counts: Samples in each shard.
        options: The loader's options.
        plan: Returns this rank's batches of a whole epoch, as ranges of positions.
    """

    loader: Loader
    counts: Int64[np.ndarray, " shards"]
    options: LoaderOptions
    plan: Callable[[], BatchPlan]

    @property
    def epoch(self) -> int:
        """The epoch that iterating the loader begins."""
        return self.loader.epoch

    def order(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch."""
        return EpochOrder(self.counts, shuffle=self.options.shuffle, seed=self.options.seed, epoch=epoch)

    def batches_from(self, epoch: int, position: int) -> Iterator[Any]:
        """Go to a position in an epoch, in the order of its first iterator, and iterate over the batches from there."""
        place = {"epoch": epoch, "position": position, "iterator": 0}
        self.loader.load_state_dict({**self.loader.state_dict(), **place})
        return iter(self.loader)
