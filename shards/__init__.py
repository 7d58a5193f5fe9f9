"""Shards on disk or on servers: which tars there are, where each sample lies in them, the order of an epoch, and writing tars."""

from foveal.shards._error import (
    DataError,
    IndexWarning,
    SampleError,
    ShardError,
    ShardWarning,
    UnindexableError,
)
from foveal.shards._order import EpochOrder
from foveal.shards._shards import Sample, Shards
from foveal.shards._urls import expand_urls
from foveal.shards._writer import ShardWriter
from foveal.shards.index import write_index

__all__ = [
    "DataError",
    "EpochOrder",
    "IndexWarning",
    "Sample",
    "SampleError",
    "ShardError",
    "ShardWarning",
    "ShardWriter",
    "Shards",
    "UnindexableError",
    "expand_urls",
    "write_index",
]
