"""Writing files that appear complete or not at all."""

from foveal.shards.store._replace import replacing
from foveal.shards.store._store import Store, open_store

__all__ = ["Store", "open_store", "replacing"]
