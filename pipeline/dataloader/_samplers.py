"""The order of a loader, as torch's samplers."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from torch.utils.data import BatchSampler, DistributedSampler, SequentialSampler

from foveal.pipeline.dataloader._source import Source
from foveal.pipeline.epoch import EpochPlace

_PASSES = itertools.count()


class PlannedBatch(list[int]):
    """The numbers of a batch's samples, the number of its pass, the place at which the batch begins, and the place after it."""

    def __init__(self, ordinals: list[int], of_pass: int, place: EpochPlace, after: EpochPlace) -> None:
        super().__init__(ordinals)
        self.of_pass = of_pass
        self.place = place
        self.after = after


class LoaderSampler(DistributedSampler[Any]):
    """The samples that this rank takes in the present epoch, in order, by their numbers in the shards: always those of a whole epoch.

    It is a ``DistributedSampler`` because the loader already gives each rank its share: Ray Train and Composer look for
    this type, and add their own sampler if they do not find it. ``set_epoch`` is the loader's.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def dataset(self) -> range:  # type: ignore[override]  # as many elements as the shards have samples
        """A sequence whose length is the number of samples."""
        return range(self._source.plan().samples)

    @property
    def num_replicas(self) -> int:  # type: ignore[override]
        """Number of ranks that share the epoch."""
        return self._source.plan().world_size

    @property
    def rank(self) -> int:  # type: ignore[override]
        """The number of this rank."""
        return self._source.plan().rank

    @property
    def epoch(self) -> int:  # type: ignore[override]
        """The loader's epoch."""
        return self._source.epoch

    @property
    def shuffle(self) -> bool:  # type: ignore[override]
        """Whether each epoch has a different order."""
        return self._source.options.shuffle

    @property
    def seed(self) -> int:  # type: ignore[override]
        """The loader's seed."""
        return self._source.options.seed

    @property
    def drop_last(self) -> bool:  # type: ignore[override]
        """Whether samples that do not fill a batch are left out."""
        return self._source.plan().last_batch == "drop"

    @property
    def num_samples(self) -> int:  # type: ignore[override]
        """How many samples this rank takes in an epoch."""
        return self._source.plan().own_samples

    @property
    def total_size(self) -> int:  # type: ignore[override]
        """How many samples all ranks take together, if each takes as many as this one."""
        return self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        order, plan = self._source.order(self.epoch), self._source.plan()
        return (order[position % len(order)] for batch in plan for position in batch)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the loader's epoch."""
        self._source.loader.set_epoch(epoch)


class SequentialLoaderSampler(LoaderSampler, SequentialSampler):
    """The same for a loader that does not shuffle, a type that Lightning's ``overfit_batches`` checks for."""


class LoaderBatchSampler(LoaderSampler, BatchSampler):  # type: ignore[override]
    """The same samples, batch by batch: the ``batch_sampler`` of a ``DataLoader`` around the loader's dataset.

    After the loader's ``load_state_dict``, iterating begins at the loaded position, until a batch has been delivered. As with
    the loader, ``len`` remains that of a whole epoch.
    """

    @property
    def sampler(self) -> LoaderSampler:  # type: ignore[override]
        """The same samples, one by one."""
        return LoaderSampler(self._source)

    @property
    def batch_size(self) -> int:  # type: ignore[override]
        """Samples of one rank's batch."""
        return self._source.plan().batch_size

    def __iter__(self) -> Iterator[PlannedBatch]:  # type: ignore[override]
        return _PlannedBatches(self._source)

    def __len__(self) -> int:
        return len(self._source.plan())


class _PlannedBatches(Iterator[PlannedBatch]):
    """The batches from the place at which the loader is when the first batch is requested. torchdata saves its state."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pass = next(_PASSES)
        self._begins_at: EpochPlace | None = None
        self._number = 0

    def __next__(self) -> PlannedBatch:
        if self._begins_at is None:
            self._begins_at = self._source.first_place()
        order = self._source.order(self._begins_at.order)
        plan = replace(self._source.plan(), start=self._begins_at.position)
        if self._number == len(plan):
            raise StopIteration
        ordinals = [order[position % len(order)] for position in plan[self._number]]
        place, after = (
            replace(self._begins_at, position=plan.place_after(number))
            for number in (self._number, self._number + 1)
        )
        self._number += 1
        return PlannedBatch(ordinals, self._pass, place, after)

    def state_dict(self) -> dict[str, int | None]:
        """Return the place at which the first batch begins, and how many have been requested."""
        begun = {"epoch": None} if self._begins_at is None else asdict(self._begins_at)
        return {**begun, "number": self._number}

    def load_state_dict(self, state: Mapping[str, int | None]) -> None:
        """Continue from a state."""
        epoch, self._number = state["epoch"], state["number"] or 0
        if epoch is None:
            self._begins_at = None
            return
        self._begins_at = EpochPlace(epoch, state.get("position") or 0, state.get("iterator") or 0)
        self._source.loader.set_epoch(epoch)
