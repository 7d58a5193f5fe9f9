"""Keeps `foveal zoom` from replacing originals, or shards that it did not write."""

import os
from collections.abc import Collection, Mapping, Sequence

from foveal.shards.naming import is_remote, local_path
from foveal.shards.store import Store
from foveal.tools.offline.manifest import MANIFEST
from foveal.tools.packing.class_list import CLASSES, names_in


def check_out(
    store: Store, originals: Mapping[str, str], classes: Sequence[str] | None, *, overwrite: bool
) -> None:
    """Check a folder before zoomed shards are written to it.

    Args:
        store: The folder.
        originals: The URL of each original, by the name that its zoomed shard will have.
        classes: The names of their classes, which will be listed in the folder; None if nothing is known of them.
        overwrite: Whether shards may be replaced; originals never are.

    Raises:
        ValueError: A zoomed shard would replace an original, or a shard that ``foveal zoom`` did not write; or the list of classes
            would not be true of other shards in the folder.
    """
    for name, url in originals.items():
        if _is_one_file(store.url_of(name), url):
            raise ValueError(
                f"out must be another folder than that of the shards, got {store.url!r}, where {url!r} would be replaced."
            )
    files = store.names()
    replaced = originals.keys() & files.keys()
    if replaced and MANIFEST not in files and not overwrite:
        raise ValueError(
            f"out must be a folder without shards of these names, got {store.url!r} with {min(replaced)!r}, which foveal zoom "
            "did not write – name another folder, or pass --overwrite to replace them."
        )
    _check_classes(store, originals.keys(), classes, overwrite=overwrite)


def _check_classes(
    store: Store, names: Collection[str], classes: Sequence[str] | None, *, overwrite: bool
) -> None:
    if not classes:  # nothing is written
        return
    files = store.names()
    others = sorted({name for name in files if name.endswith(".tar")} - set(names))
    listed = CLASSES in files
    there = names_in(store.read(CLASSES), store.url_of(CLASSES)) if listed else []
    if there == list(classes):
        return
    if others:
        beside = f"the classes {there!r}" if listed else "no list of classes"
        raise ValueError(
            f"out must be a folder whose shards number their classes alike, got {store.url!r} with {others[0]!r} and {beside}, for "
            f"shards of the classes {list(classes)!r} – name another folder, or write {CLASSES} there if the numbers mean the same."
        )
    if listed and MANIFEST not in files and not overwrite:
        raise ValueError(
            f"out must be a folder without {CLASSES}, got {store.url!r}, which has one of other classes – name another folder, or pass "
            "--overwrite to replace it."
        )


def _is_one_file(one: str, other: str) -> bool:
    if is_remote(one) or is_remote(other):
        return one == other
    return os.path.realpath(local_path(one)) == os.path.realpath(local_path(other))
