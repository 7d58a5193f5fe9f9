"""Folders of images in place of shards: they are packed once, and kept in the cache."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from foveal.shards import ShardError
from foveal.shards.index import Cache
from foveal.shards.naming import is_remote, local_path
from foveal.shards.store import is_full
from foveal.tools.console.choices import IMAGE
from foveal.tools.packing._pictures import Picture, find_pictures, is_for_images, stat_of
from foveal.tools.packing.class_list import CLASSES
from foveal.tools.packing.pack import pack


def packed(urls: Sequence[str], *, console: Console, classes: Sequence[str] | None = None) -> list[str]:
    """Return the URLs, with shards in place of each folder of images.

    The shards are written into the cache (``$XDG_CACHE_HOME`` or ``~/.cache``) once, and again if a file of the folder changes.

    Args:
        urls: Shards as ``expand_urls`` takes them, and local folders of images, also as ``file:`` URLs.
        console: Where messages and the progress are printed.
        classes: The names of the classes in the order of their numbers; None: those of all the folders together, sorted.

    Raises:
        OSError: The cache cannot be written.
        ValueError: A folder makes no sense, or an image's class is not among ``classes``.
    """
    labels = classes_of_folders(urls) if classes is None else list(classes)
    found: list[str] = []
    for url in urls:
        folder = folder_of_images(url)
        found += [url] if folder is None else _shards_of(folder, labels, console)
    return found


def classes_of_folders(urls: Sequence[str]) -> list[str]:
    """Return the names of the classes of all folders of images, sorted; no others of these URLs count."""
    folders = filter(None, map(folder_of_images, urls))
    return sorted({label for folder in folders for label in find_pictures(folder).labels})


def folder_of_images(url: str) -> Path | None:
    """Return the local folder of images that a URL is; None if it is of shards."""
    folder = Path(url if is_remote(url) else local_path(url))
    is_one = folder.is_dir() and not any(folder.glob("*.tar*")) and is_for_images(folder)
    return folder if is_one else None


def image_members(urls: Sequence[str], image: str) -> str:
    """Return which members are the image: as it was asked for, and also what the images of folders are named by.

    Args:
        urls: As :func:`packed` takes them.
        image: What was asked for. Only the default is added to.

    Raises:
        ValueError: An image has another one of the same name beside it, and it is not known which of them is the mask.
    """
    if image != IMAGE:
        return image
    wanted = image.split(";")
    for folder in filter(None, map(folder_of_images, urls)):
        for picture in find_pictures(folder).found:
            if picture.is_open:
                raise _not_named(picture)
            wanted += [] if set(wanted) & set(picture.images) else picture.images
    return ";".join(wanted)


def _not_named(picture: Picture) -> ValueError:
    one, other = picture.images[:2]
    return ValueError(
        f"image must be named where there are several of one name, got {str(picture.members[one])!r} beside "
        f"{str(picture.members[other])!r} – pass --image {one} or --image {other}."
    )


def _shards_of(folder: Path, labels: list[str], console: Console) -> list[str]:
    out = Cache.at(None).folder / "packed" / _fingerprint(folder, labels)
    with _usable(out.parent):
        is_there = (out / CLASSES).is_file()
    if not is_there:
        console.print(f"Packing {folder} into {out}")
        with _usable(out.parent):
            out.parent.mkdir(parents=True, exist_ok=True)
            temporary = TemporaryDirectory(dir=out.parent, prefix=".")
        with temporary as own:
            with _writable(out.parent):
                pack(folder, Path(own, out.name), labels=labels, console=console)
            _move(Path(own, out.name), out)
    return [str(path) for path in sorted(out.glob("*.tar"))]


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Say what to do if a folder of the cache cannot be used."""
    try:
        yield
    except OSError as error:
        raise _unusable(folder, error) from error


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Say what to do if the cache is full, or what is written there cannot be; other errors are about the images."""
    try:
        yield
    except (OSError, ShardError) as error:
        cause = _cause(error)
        if cause is None or not (is_full(cause) or _is_below(folder, cause.filename)):
            raise
        raise _unusable(folder, cause) from error


def _cause(error: BaseException | None) -> OSError | None:
    """Return the error of the system: itself, or, if an index could not be written, its cause."""
    while isinstance(error, ShardError):
        error = error.__cause__
    return error if isinstance(error, OSError) else None


def _is_below(folder: Path, name: str | bytes | None) -> bool:
    return name is not None and Path(os.fsdecode(name)).is_relative_to(folder)


def _unusable(folder: Path, error: OSError) -> OSError:
    return OSError(
        f"cache must be a folder that can be written to, got {str(folder)!r}: {error.strerror} – set XDG_CACHE_HOME to one "
        "that can, or call `foveal pack` and name the shards that it wrote."
    )


def _move(made: Path, out: Path) -> None:
    """Move shards to their place, unless another process, such as a rank of the same training, has made them meanwhile."""
    try:
        made.rename(out)
    except OSError:
        if (out / CLASSES).is_file():
            return
        shutil.rmtree(out)  # what earlier versions left when they were interrupted
        made.rename(out)


def _fingerprint(folder: Path, labels: list[str]) -> str:
    pictures = find_pictures(folder)
    files = [
        # The key, too: an earlier version may have grouped them otherwise.
        (picture.key, str(path), *_stamp(folder / path))
        for picture in pictures.found
        for path in picture.members.values()
    ]
    content = json.dumps([os.fspath(folder.resolve()), files, labels])
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _stamp(path: Path) -> tuple[int, int]:
    found = stat_of(path)
    return found.st_size, found.st_mtime_ns
