"""Writing files that appear complete or not at all."""

from foveal.shards.store._replace import errors_name, is_full, replacing, write_whole
from foveal.shards.store._store import Store, StoreError, open_store

__all__ = ["Store", "StoreError", "errors_name", "is_full", "open_store", "replacing", "write_whole"]
