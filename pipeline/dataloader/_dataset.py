"""The samples of a loader, as torch's ``Dataset``."""

from collections.abc import Iterator
from typing import Any, NoReturn

from torch.utils.data import Dataset

from foveal.pipeline.dataloader._accelerate import reported_to_accelerate
from foveal.pipeline.dataloader._samplers import PlannedBatch
from foveal.pipeline.dataloader._source import Source
from foveal.pipeline.dataloader._workers import refuse_workers
from foveal.pipeline.epoch import EpochPlace


class LoaderDataset(Dataset[Any]):
    """The samples of a loader. ``len`` is their number; they come in the batches of the loader's ``batch_sampler``.

    ``DataLoader(loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn)`` delivers what the
    loader delivers, after ``load_state_dict`` from the loaded position. Accelerate's ``skip_first_batches`` also makes this of a loader, with a batch sampler that leaves out
    the first batches, which are then not read.

    A loader prepares batches ahead in its computed order, so arbitrary samples cannot be requested.
    """

    _batches: Iterator[Any] | None = None
    _next: tuple[int, EpochPlace] | None = None  # the pass that they belong to, and where they continue

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return self._source.plan().samples

    def __getitem__(self, index: Any) -> NoReturn:
        raise TypeError(
            f"index must be a batch of the loader's batch_sampler, got {index!r} – a ZoomLoader reads in an order of its own; "
            "foveal.shards.Shards gives single samples, and ZoomCollate zooms them."
        )

    def __getitems__(self, batch: Any) -> Any:
        """Return a batch of the loader's ``batch_sampler``, zoomed. Consecutive batches are prepared ahead."""
        refuse_workers()
        if not isinstance(batch, PlannedBatch):
            self[batch]
        if self._batches is None or self._next != (batch.of_pass, batch.place):
            self._batches = reported_to_accelerate(self._source.batches_from(batch.place))
        self._next = (batch.of_pass, batch.after)
        return next(self._batches)
