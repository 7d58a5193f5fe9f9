"""What a loader has for code that expects torch's ``DataLoader``: attributes, samplers, and what frameworks need besides."""

from foveal.pipeline.dataloader._accelerate import reported_to_accelerate
from foveal.pipeline.dataloader._attributes import DataLoaderAttributes
from foveal.pipeline.dataloader._passes import WorkerPasses
from foveal.pipeline.dataloader._source import Source
from foveal.pipeline.dataloader._workers import refuse_workers

__all__ = ["DataLoaderAttributes", "Source", "WorkerPasses", "refuse_workers", "reported_to_accelerate"]
