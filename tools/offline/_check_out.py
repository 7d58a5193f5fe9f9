"""Keeps `foveal zoom` from replacing originals, or shards that it did not write."""

import os
from collections.abc import Mapping

from foveal.shards.naming import is_remote, local_path
from foveal.shards.store import Store
from foveal.tools.offline.manifest import MANIFEST


def check_out(store: Store, originals: Mapping[str, str], *, overwrite: bool) -> None:
    """Check a folder before zoomed shards are written to it.

    Args:
        store: The folder.
        originals: The URL of each original, by the name that its zoomed shard will have.
        overwrite: Whether shards may be replaced; originals never are.

    Raises:
        ValueError: A zoomed shard would replace an original, or a shard that ``foveal zoom`` did not write.
    """
    for name, url in originals.items():
        if _is_one_file(store.url_of(name), url):
            raise ValueError(
                f"out must be another folder than that of the shards, got {store.url!r}, where {url!r} would be replaced."
            )
    files = store.names()
    others = originals.keys() & files.keys()
    if others and MANIFEST not in files and not overwrite:
        raise ValueError(
            f"out must be a folder without shards of these names, got {store.url!r} with {min(others)!r}, which foveal zoom "
            "did not write – name another folder, or pass --overwrite to replace them."
        )


def _is_one_file(one: str, other: str) -> bool:
    if is_remote(one) or is_remote(other):
        return one == other
    return os.path.realpath(local_path(one)) == os.path.realpath(local_path(other))
