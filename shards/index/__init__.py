"""Indexes: where each sample lies in its tar."""

from foveal.shards._error import UnindexableError
from foveal.shards.index._cache import Cache, changed, name_of
from foveal.shards.index._idx_format import LONGEST_TAG, Stamp, parse_stamp
from foveal.shards.index._index import (
    Found,
    ShardIndex,
    find_fresh,
    find_index,
    index_path,
    kept,
    no_samples,
    read_index,
    tar_stamp,
)
from foveal.shards.index._next_name import split_name
from foveal.shards.index._scan import UnusableError, agreed, scan
from foveal.shards.index._tar import UNREADABLE, Cut, Member
from foveal.shards.index._write_index import index_text, write_index

__all__ = [
    "LONGEST_TAG",
    "UNREADABLE",
    "Cache",
    "Cut",
    "Found",
    "Member",
    "ShardIndex",
    "Stamp",
    "UnindexableError",
    "UnusableError",
    "agreed",
    "changed",
    "find_fresh",
    "find_index",
    "index_path",
    "index_text",
    "kept",
    "name_of",
    "no_samples",
    "parse_stamp",
    "read_index",
    "scan",
    "split_name",
    "tar_stamp",
    "write_index",
]
