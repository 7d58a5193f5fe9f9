"""Folders of images in place of shards: they are packed once, and kept in the cache."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from foveal.shards.index import Cache
from foveal.tools.packing._pictures import find_pictures, holds_images
from foveal.tools.packing.pack import CLASSES, pack


def packed(urls: Sequence[str], *, console: Console, like: Sequence[str] = ()) -> list[str]:
    """Return the URLs, with shards in place of each folder of images.

    The shards are written into the cache (``$XDG_CACHE_HOME`` or ``~/.cache``) once, and again if a file of the folder changes.

    Args:
        urls: Shards as ``expand_urls`` takes them, and local folders of images.
        console: Where messages and the progress are printed.
        like: Folders that were packed before, for training: their classes are used for these folders, too.
    """
    labels = next((_labels(Path(url).parent) for url in like if (Path(url).parent / CLASSES).is_file()), None)
    found: list[str] = []
    for url in urls:
        folder = Path(url)
        if folder.is_dir() and not any(folder.glob("*.tar*")) and holds_images(folder):
            found += _shards_of(folder, labels, console)
        else:
            found.append(url)
    return found


def _labels(folder: Path) -> list[str]:
    return (folder / CLASSES).read_text().splitlines()


def _shards_of(folder: Path, labels: list[str] | None, console: Console) -> list[str]:
    out = Cache.at(None).folder / "packed" / _fingerprint(folder, labels)
    if not (out / CLASSES).is_file():
        console.print(f"Packing {folder} into {out}")
        pack(folder, out, labels=labels, overwrite=True, console=console)
    return [str(path) for path in sorted(out.glob("*.tar"))]


def _fingerprint(folder: Path, labels: list[str] | None) -> str:
    pictures = find_pictures(folder)
    files = [
        (str(path), *_stamp(folder / path)) for picture in pictures.found for path in picture.members.values()
    ]
    content = json.dumps([os.fspath(folder.resolve()), files, labels or pictures.labels])
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
