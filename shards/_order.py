"""The order in which an epoch visits the samples. It is computed from a position and never stored.

The random numbers are the raw output of Philox, a counter-based generator whose streams are fixed by its
definition (Salmon et al. 2011), and a permutation is a stable argsort of them: an order written down today is
the order of any later version.
"""

import operator
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int64, UInt64
from numpy.random import Philox


class EpochOrder:
    """The order of one epoch: ``order[position]`` is the number of the sample to visit there.

    A pure function of the arguments. It shuffles the shards, cuts them into windows of ``window`` shards, and
    shuffles the samples within each window, so that a reader needs few tars at a time.
    For five shards of two samples and ``window=2``::

        shard      0     1     2     3     4
        sample     0 1   2 3   4 5   6 7   8 9

        shards     3     0   |   4     2   |   1          shuffled, two to a window
        samples    6 7   0 1 |   8 9   4 5 |   2 3
        order      1 6   7 0 |   5 8   9 4 |   3 2        shuffled within each window
        position   0 1   2 3 |   4 5   6 7 |   8 9

    It holds a few numbers per shard and the samples of at most two windows in memory. Threads may share it.

    Args:
        counts: Samples in each shard, as ``Shards.counts``.
        shuffle: False visits the samples as they are numbered.
        seed: The seed of the whole training run, in [0, 2**64).
        epoch: The number of the epoch, in [0, 2**64). Each epoch has its own order.
        window: Number of shards whose samples are mixed. More shards mix better, and more tars are read at once.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> order = EpochOrder([2, 2, 2, 2, 2], shuffle=True, seed=0, epoch=0, window=2)
        >>> sorted(order[position] for position in range(len(order)))
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    def __init__(
        self,
        counts: Sequence[int] | Int64[np.ndarray, " shards"],
        *,
        shuffle: bool,
        seed: int,
        epoch: int,
        window: int = 16,
    ) -> None:
        self._counts = _checked_counts(counts)
        self._key = np.array([_checked("seed", seed), _checked("epoch", epoch)], dtype=np.uint64)
        self._window = _checked("window", window, at_least=1)
        self._shuffle = shuffle
        self._total = int(self._counts.sum())
        self._starts = np.cumsum(self._counts) - self._counts
        self._shards = np.argsort(self._random(0, len(self._counts)), kind="stable")
        self._ends = np.cumsum(self._counts[self._shards])[self._window - 1 :: self._window]
        self._recent: tuple[tuple[int, Int64[np.ndarray, " samples"]], ...] = ()

    def __len__(self) -> int:
        return self._total

    def __getitem__(self, position: SupportsIndex) -> int:
        """Return the number of the sample to visit at a position; negative ones count from the end."""
        total, number = len(self), operator.index(position)
        if not -total <= number < total:
            raise IndexError(f"position must be in [{-total}, {total}), got {number}")
        number %= total
        if not self._shuffle:
            return number
        window = int(np.searchsorted(self._ends, number, side="right"))
        start = int(self._ends[window - 1]) if window else 0
        return int(self._samples(window)[number - start])

    def _samples(self, window: int) -> Int64[np.ndarray, " samples"]:
        recent = self._recent  # replaced as a whole, so that a thread sees the old state or the new one
        for number, samples in recent:
            if number == window:
                return samples
        samples = self._shuffled(window)
        self._recent = ((window, samples), *recent[:1])
        return samples

    def _shuffled(self, window: int) -> Int64[np.ndarray, " samples"]:
        shards = self._shards[window * self._window :][: self._window]
        counts = self._counts[shards]
        firsts = np.cumsum(counts) - counts
        samples = np.arange(counts.sum(), dtype=np.int64) + np.repeat(self._starts[shards] - firsts, counts)
        order = np.argsort(self._random(1 + window, len(samples)), kind="stable")
        return np.take(samples, order)

    def _random(self, stream: int, size: int) -> UInt64[np.ndarray, " size"]:
        """Return the random numbers of one stream: stream 0 is for the shards, and each window has one of the following streams."""
        numbers: UInt64[np.ndarray, " size"] = Philox(
            key=self._key, counter=np.array([0, 0, 0, stream], dtype=np.uint64)
        ).random_raw(size)
        return numbers


def _checked_counts(counts: Sequence[int] | Int64[np.ndarray, " shards"]) -> Int64[np.ndarray, " shards"]:
    given = np.asarray(counts)
    if given.ndim != 1 or (given.size and (given.dtype.kind not in "iu" or given.min() < 0)):
        raise ValueError(f"counts must be a list of whole numbers, none negative, got {counts!r}")
    return given.astype(np.int64)


def _checked(name: str, value: int, at_least: int = 0) -> int:
    number = operator.index(value)
    if not at_least <= number < 2**64:
        raise ValueError(f"{name} must be in [{at_least}, 2**64), got {number}")
    return number
