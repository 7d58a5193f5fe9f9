"""The interface through which a loader's samplers and dataset use it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int64

from foveal.pipeline.epoch import BatchPlan, EpochIterator, EpochPlace, LoaderOptions
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A loader, as its samplers and its dataset use it. Values that may change are read from the loader each time.

    Attributes:
        loader: The loader.
        counts: Samples in each shard.
        options: The loader's options.
        plan: Returns this rank's batches of a whole epoch, as ranges of positions.
        first_place: Returns where a pass begins: with the epoch's first order, or after ``load_state_dict`` at the loaded position.
        iterate: Begins a pass at the loader's position.
    """

    loader: Loader
    counts: Int64[np.ndarray, " shards"]
    options: LoaderOptions
    plan: Callable[[], BatchPlan]
    first_place: Callable[[], EpochPlace]
    iterate: Callable[[], EpochIterator]

    @property
    def epoch(self) -> int:
        """The epoch that iterating the loader begins."""
        return self.loader.epoch

    def order(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch, or of one of its iterators (:attr:`EpochPlace.order`)."""
        return EpochOrder(self.counts, shuffle=self.options.shuffle, seed=self.options.seed, epoch=epoch)

    def go_to(self, place: EpochPlace) -> None:
        """Make the loader continue from a place. Behind an epoch's last batch it is in the next epoch."""
        self.loader.load_state_dict({**self.loader.state_dict(), **asdict(place)})

    def batches_from(self, place: EpochPlace) -> EpochIterator:
        """Go to a place and iterate over the batches from there."""
        self.go_to(place)
        return self.iterate()
