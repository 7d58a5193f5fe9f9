"""The attributes of torch's ``DataLoader`` that other code reads."""

from abc import ABC, abstractmethod
from typing import Any

from foveal.pipeline.dataloader._dataset import LoaderDataset
from foveal.pipeline.dataloader._samplers import LoaderBatchSampler, LoaderSampler, SequentialLoaderSampler
from foveal.pipeline.dataloader._source import Source


class DataLoaderAttributes(ABC):
    """The attributes of torch's ``DataLoader``, so that frameworks and scripts find them on a loader, too.

    ``DataLoader(loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn)`` is a ``DataLoader``
    with the same batches, for code that accepts nothing else.
    """

    num_workers = 0
    """Worker processes: none, a loader decodes in threads."""
    prefetch_factor = None
    """Batches that each worker process loads ahead: there are no worker processes. A loader's own argument of this name is about threads."""
    pin_memory = False
    """Batches are delivered on the device on which they were zoomed."""
    generator = None
    """Orders depend on ``seed`` and ``epoch`` alone."""
    timeout = 0
    """Waiting for a batch has no limit."""
    worker_init_fn = None
    """There are no worker processes to set up."""

    @abstractmethod
    def _source(self) -> Source:
        """Return the interface through which samplers and dataset use the loader."""

    @property
    def batch_size(self) -> int:
        """Images of a batch, on this rank."""
        return self._source().plan().batch_size

    @property
    def drop_last(self) -> bool:
        """Whether samples that do not fill a batch are left out."""
        return self._source().plan().last_batch == "drop"

    @property
    def dataset(self) -> LoaderDataset:
        """The samples of all shards: ``len(loader.dataset)`` is their number."""
        return LoaderDataset(self._source())

    @property
    def sampler(self) -> LoaderSampler:
        """The samples of this rank in the present epoch. Its ``set_epoch`` is the loader's."""
        source = self._source()
        return LoaderSampler(source) if source.options.shuffle else SequentialLoaderSampler(source)

    @property
    def batch_sampler(self) -> LoaderBatchSampler:
        """The same samples in batches."""
        return LoaderBatchSampler(self._source())

    @staticmethod
    def collate_fn(batch: Any) -> Any:
        """Return the batch as it is: ``dataset`` delivers batches that are complete."""
        return batch
