"""The positions in an epoch's order that each rank takes, batch by batch.

All ranks together go through the order once, a global batch of ``world_size * batch_size`` positions at a time. Each rank
takes one consecutive part of it::

    world_size=2, batch_size=2, 10 samples      rank 0    rank 1
    global batch 0                              0 1       2 3
    global batch 1                              4 5       6 7
    global batch 2 ("partial")                  8         9

So the order is the same for any number of ranks, and a position in it is one number.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from foveal.sampler.frames import whole

LastBatch = Literal["partial", "drop", "pad"]
"""What to do with the samples that are left at an epoch's end, as :class:`ZoomLoader` takes it."""


@dataclass(frozen=True, slots=True)
class BatchPlan(Sequence[range]):
    """The batches of one rank in one epoch, as ranges of positions.

    ``len`` is the same on every rank.

    Attributes:
        samples: Number of samples of the epoch, over all ranks.
        batch_size: Samples of one rank's batch.
        rank: This rank, in [0, world_size).
        world_size: How many ranks share the epoch.
        last_batch: What to do with samples that do not fill a global batch: ``"partial"`` splits them as
            evenly as possible (a rank's last batch is empty if fewer samples than ranks are left),
            ``"drop"`` leaves them out, ``"pad"`` fills the batch with positions beyond the last sample.
        start: The position that the first batch begins with.
        worker: The number of this process, in [0, workers).
        workers: Number of processes that take this rank's batches in turns, as a DataLoader's workers do.
    """

    samples: int
    batch_size: int
    rank: int = 0
    world_size: int = 1
    last_batch: LastBatch = "partial"
    start: int = 0
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        whole(self.batch_size, "batch_size")
        whole(self.world_size, "world_size")
        if not 0 <= whole(self.rank, "rank", -sys.maxsize) < self.world_size:
            raise ValueError(f"rank must be in [0, {self.world_size}), the world size, got {self.rank!r}.")
        if self.last_batch not in get_args(LastBatch):
            raise ValueError(
                f"last_batch must be one of {', '.join(get_args(LastBatch))}, got {self.last_batch!r}."
            )

    def __len__(self) -> int:
        full, rest = divmod(self.samples - self.start, self._global_size)
        batches = full + (rest > 0 and self.last_batch != "drop")
        return -(-(batches - self.worker) // self.workers) if batches > self.worker else 0

    def __getitem__(self, index: int) -> range:  # type: ignore[override]  # batches are taken one at a time
        if not 0 <= index < len(self):
            raise IndexError(f"index must be in [0, {len(self)}), got {index!r}.")
        number = index * self.workers + self.worker
        start, end = (
            min(self.start + each * self._global_size, self.samples) for each in (number, number + 1)
        )
        size = end - start if self.last_batch == "partial" else self._global_size
        share, more = divmod(size, self.world_size)  # the first `more` ranks take one more than the others
        first = start + self.rank * share + min(self.rank, more)
        return range(first, first + share + (self.rank < more))

    @property
    def own_samples(self) -> int:
        """Number of positions that this rank takes; only the last batch may be smaller than the others."""
        last = len(self) - 1
        return 0 if last < 0 else last * self.batch_size + len(self[last])

    def place_after(self, batches: int) -> int:
        """Return the position that follows the first ``batches`` batches of all ranks, and of all workers."""
        return min(self.start + batches * self.workers * self._global_size, self.samples)

    @property
    def _global_size(self) -> int:
        return self.batch_size * self.world_size
