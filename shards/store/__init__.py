"""Writing files that appear complete or not at all, and opening those that are files."""

from foveal.shards.store._abandoned import hold
from foveal.shards.store._open_regular import open_regular
from foveal.shards.store._replace import errors_name, is_full, replacing, write_whole
from foveal.shards.store._store import Store, StoreError, open_store

__all__ = [
    "Store",
    "StoreError",
    "errors_name",
    "hold",
    "is_full",
    "open_regular",
    "open_store",
    "replacing",
    "write_whole",
]
