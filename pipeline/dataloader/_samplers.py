"""The order of a loader, as torch's samplers."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from torch.utils.data import BatchSampler, DistributedSampler, SequentialSampler

from foveal.pipeline.dataloader._source import Source
from foveal.pipeline.epoch import BatchPlan, EpochPlace

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
        self._next: EpochPlace | None = None

    def __next__(self) -> PlannedBatch:
        if self._next is None:
            self._next = self._begin()
        plan = self._rest_from(self._next)
        if not len(plan):
            raise StopIteration
        order = self._source.order(self._next.order)
        ordinals = [order[position % len(order)] for position in plan[0]]
        place, self._next = self._next, replace(self._next, position=plan.place_after(1))
        return PlannedBatch(ordinals, self._pass, place, self._next)

    def _begin(self) -> EpochPlace:
        """Return where the first batch begins. An epoch without a batch is over at once, since no last batch will end it."""
        place = self._source.first_place()
        if not len(self._rest_from(place)):
            self._source.loader.set_epoch(place.epoch + 1)
        return place

    def _rest_from(self, place: EpochPlace) -> BatchPlan:
        return replace(self._source.plan(), start=place.position)

    def state_dict(self) -> dict[str, int]:
        """Return the place at which the next batch begins."""
        return asdict(self._source.first_place() if self._next is None else self._next)

    def load_state_dict(self, state: Mapping[str, int | None]) -> None:
        """Continue from a state. After the last batch of an epoch nothing is left of this pass, and the loader is in the next epoch."""
        if (epoch := state["epoch"]) is None:  # an earlier version, before the first batch
            return
        begun = EpochPlace(epoch, state.get("position") or 0, state.get("iterator") or 0)
        # Earlier versions counted the batches from where the pass had begun.
        requested = state.get("number") or 0
        place = replace(begun, position=self._rest_from(begun).place_after(requested))
        self._source.go_to(place)
        self._next = None if len(self._rest_from(place)) else place
