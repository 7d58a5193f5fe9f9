"""Remote shards: ranges, retries, servers, and copies of whole shards."""

from foveal.shards.remote._ranged import Ranged
from foveal.shards.remote._remote import Remote
from foveal.shards.remote._remote_shards import RemoteShards

__all__ = ["Ranged", "Remote", "RemoteShards"]
