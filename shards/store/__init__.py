"""Writing files that appear complete or not at all."""

from foveal.shards.store._replace import replacing
from foveal.shards.store._store import Store, StoreError, open_store

__all__ = ["Store", "StoreError", "open_store", "replacing"]
