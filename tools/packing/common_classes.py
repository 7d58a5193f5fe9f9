"""One numbering of classes for all folders and shards of a command: a number must not mean two classes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from foveal.shards import expand_urls
from foveal.shards.naming import is_remote, local_path
from foveal.tools.packing.class_list import CLASSES, listed_classes
from foveal.tools.packing.packed import classes_of_folders, folder_of_images, packed

_SHOWN = 4


def packed_for_training(
    urls: Sequence[str], val: Sequence[str], *, console: Console
) -> tuple[list[str], list[str]]:
    """Return the URLs to train on and those to validate on, with shards in place of folders, in which a class has one number.

    Args:
        urls: As ``packed`` takes them.
        val: So, too; perhaps none.
        console: Where messages and the progress are printed.

    Raises:
        OSError: The cache cannot be written.
        ValueError: A folder makes no sense; two lists of classes differ; or an image's class is not among those to train on.
    """
    classes = common_classes(urls)
    shards = packed(urls, console=console, classes=classes)
    return shards, packed(val, console=console, classes=common_classes(val, known=classes))


def common_classes(urls: Sequence[str], *, known: Sequence[str] | None = None) -> list[str] | None:
    """Return the names of the classes of all folders and shards, in the order of their numbers.

    Classes of shards are what the ``classes.txt`` beside them lists. The list of remote shards is not read, and nothing is known of
    shards without one.

    Args:
        urls: Shards as ``expand_urls`` takes them, and local folders of images.
        known: The classes of the training images, if these are validated on; None if there are none or nothing is known of them.

    Returns:
        ``known``; else what the lists say; else the names that all folders of images have together, sorted; None if there are
        none of them.

    Raises:
        ValueError: Two lists differ, or one of them from ``known``.
    """
    lists = list(_lists(urls))
    if known:
        _check_equal("the training images", list(known), lists)
        return list(known)
    if lists:
        _check_equal(*lists[0], lists[1:])
        return lists[0][1]
    return classes_of_folders(urls) or None


def classes_of_shards(urls: Sequence[str]) -> list[str] | None:
    """Return the names of the classes that are listed beside every one of these shards; None unless they are beside each.

    Raises:
        ValueError: Two lists differ.
    """
    listed = len(list(_lists(urls)))
    everywhere = not any(map(is_remote, urls)) and listed == len(set(_folders(urls)))
    return common_classes(urls) if listed and everywhere else None


def _check_equal(first: str, names: list[str], lists: Sequence[tuple[str, list[str]]]) -> None:
    for path, others in lists:
        if others != names:
            raise ValueError(
                f"shards must number their classes alike, got {_short(names)} in {first} and {_short(others)} in {path} – pack the images again, "
                f"together or with --classes-from, or remove {CLASSES} if the numbers mean the same."
            )


def _lists(urls: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the path and the content of each list beside shards that has names."""
    for folder in dict.fromkeys(_folders(urls)):
        path = folder / CLASSES
        if path.is_file() and (names := listed_classes(folder)):
            yield str(path), names


def _folders(urls: Sequence[str]) -> Iterator[Path]:
    local = [
        url for url in urls if folder_of_images(url) is None and not any(map(is_remote, url.split("::")))
    ]
    shards = expand_urls(local) if local else []
    return (Path(local_path(url)).parent.resolve() for url in shards)


def _short(names: Sequence[str]) -> str:
    return repr(list(names)) if len(names) <= _SHOWN else f"{list(names[:_SHOWN])!r}... ({len(names)})"
