"""The meaning of strings: locations, sizes, and the extensions of members."""

from foveal.shards.naming._extensions import IMAGES, INTEGERS, JSON, PACKED
from foveal.shards.naming._known_options import known_options
from foveal.shards.naming._location import (
    has_other_scheme,
    identity_of,
    index_url,
    is_packed,
    is_remote,
    is_web,
    local_path,
    must_be_local,
    path_of,
    place_of,
    scheme_of,
)
from foveal.shards.naming._size import parse_size

__all__ = [
    "IMAGES",
    "INTEGERS",
    "JSON",
    "PACKED",
    "has_other_scheme",
    "identity_of",
    "index_url",
    "is_packed",
    "is_remote",
    "is_web",
    "known_options",
    "local_path",
    "must_be_local",
    "parse_size",
    "path_of",
    "place_of",
    "scheme_of",
]
