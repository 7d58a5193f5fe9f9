"""The meaning of strings: locations, sizes, and the extensions of members."""

from foveal.shards.naming._extensions import INTEGERS, JSON, PACKED
from foveal.shards.naming._location import identity_of, index_url, is_remote, is_web, local_path, scheme_of
from foveal.shards.naming._size import parse_size

__all__ = [
    "INTEGERS",
    "JSON",
    "PACKED",
    "identity_of",
    "index_url",
    "is_remote",
    "is_web",
    "local_path",
    "parse_size",
    "scheme_of",
]
