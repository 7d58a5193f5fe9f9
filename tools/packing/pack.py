"""Shards from a folder of images, and an index beside each that can have one."""

import itertools
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console

from foveal.shards import ShardError, ShardWriter, write_index
from foveal.shards.index import UnindexableError
from foveal.shards.naming import parse_size
from foveal.shards.store import open_regular
from foveal.tools.console.counted import counted
from foveal.tools.console.distribute import Distribute, in_turn
from foveal.tools.console.progress import progress_bar
from foveal.tools.packing._pictures import Picture, Pictures, find_pictures, stat_of
from foveal.tools.packing.class_list import CLASSES, check_class_names, write_classes
from foveal.tools.packing.without_index import print_without_index

# Where shards are until all are complete; hidden, so that no pattern finds them.
_UNFINISHED = ".unfinished"
# What `foveal zoom` writes into its folders.
_OF_ZOOM = "manifest.json"
# The names that shards and their indexes have here.
_OURS = re.compile(r".+-\d{6}\.(tar|idx)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written.

    Attributes:
        shards: The tars, in order.
        samples: How many samples they hold.
        labels: The names of the classes: the ``cls`` of a sample is a place in this list. Empty if there are no classes.
    """

    shards: list[str]
    samples: int
    labels: list[str]


def pack(
    folder: Path,
    out: Path,
    *,
    shard_size: int | str = "500MB",
    labelled: bool | None = None,
    labels: Sequence[str] | None = None,
    shuffle: bool = False,
    overwrite: bool = False,
    distribute: Distribute = in_turn,
    console: Console | None = None,
) -> Packed:
    """Write the images of a folder as shards, byte for byte as they are, and their classes as ``cls``.

    The same folder gives the same shards. They are written to a hidden folder in ``out`` and appear together when all are
    complete; before, ``out`` is as it was. The classes' names are written to ``classes.txt``, one a line, last.

    Args:
        folder: Images, in folders named by their classes or without classes; ``find_pictures`` has the rules.
        out: The folder to write to; it is made.
        shard_size: A shard ends with the sample that reaches this many bytes of files, such as ``"500MB"``.
        labelled: As :func:`find_pictures` takes it.
        labels: The names of the classes in the order of their numbers; None: those found, sorted.
        shuffle: Write the samples in a random order, which is the same each time, instead of sorted by key.
        overwrite: Replace the shards in ``out`` if this function wrote all of them; else there must be none.
        distribute: Where shards are written.
        console: Where progress shows.

    Raises:
        FileNotFoundError: There is no such folder.
        FileExistsError: There are shards or a ``classes.txt`` in ``out``; or, to be replaced, shards that this function did not write.
        OSError: A folder or a file cannot be read, or ``out`` cannot be written.
        ValueError: An argument or the folder makes no sense; an image's class is not among ``labels``; or the name of a class
            is not in UTF-8, or has a line break in it.
    """
    size = parse_size("shard_size", shard_size)
    pictures = find_pictures(folder, labelled=labelled)
    names = _names(pictures, labels)
    console = console or Console(quiet=True)
    _refuse_shards(out, overwrite=overwrite)
    order = list(pictures.found)
    if shuffle:
        random.Random(0).shuffle(order)  # noqa: S311 - an order, no secret
    stem = folder.resolve().name or "images"
    with _unfinished(out) as hidden, progress_bar(console, unit="images") as progress:
        parts = [(hidden / f"{stem}-{k:06d}.tar", part) for k, part in enumerate(_parts(folder, order, size))]
        task = progress.add_task("Packing", total=len(order))
        for (_, part), _ in distribute(_write, (folder.resolve(), names), parts):
            progress.advance(task, len(part))
        write_classes(hidden, names)
        _replace_shards(out, hidden)
    shards = [str(out / path.name) for path, _ in parts]
    _tell(console, pictures, shards, names)
    print_without_index(console, [path.name for path, _ in parts], {path.name for path in _shards_in(out)})
    return Packed(shards, len(order), list(names))


def _names(pictures: Pictures, labels: Sequence[str] | None) -> dict[str, int]:
    names = pictures.labels if labels is None else labels
    for label in pictures.labels:
        if label not in names:
            raise ValueError(
                f"folders must be named by classes of the training images, got {label!r}, which is none of {list(names)!r}."
            )
    check_class_names(names)
    return {name: number for number, name in enumerate(names)}


def _shards_in(folder: Path) -> list[Path]:
    """Return the shards in a folder, and their indexes."""
    return sorted(folder.glob("*.tar")) + sorted(folder.glob("*.idx"))


def _refuse_shards(out: Path, *, overwrite: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    old = _shards_in(out)
    if old and not overwrite:
        raise FileExistsError(
            f"out must be a folder without shards, got {str(out)!r} with {old[0].name!r} – pass --overwrite to replace them."
        )
    if old and (out / _OF_ZOOM).is_file():  # which keeps the list of classes
        raise FileExistsError(
            f"out must be another folder than that of zoomed shards, got {str(out)!r} with {_OF_ZOOM} – name another folder."
        )
    # A process that was killed while it replaced shards left no list of classes, but its hidden folder.
    listed, interrupted = (out / CLASSES).is_file(), (out / _UNFINISHED).is_dir()
    if listed and not old and not interrupted and not overwrite:
        raise FileExistsError(
            f"out must be a folder without {CLASSES}, got {str(out)!r}, which has one but no shards – name another folder, or pass "
            "--overwrite to replace it."
        )
    packed_before = listed or interrupted
    for path in old:
        if not (packed_before and _OURS.fullmatch(path.name)):
            raise FileExistsError(
                f"out must be a folder whose shards foveal pack wrote, got {str(out)!r} with {path.name!r} – name another folder."
            )


@contextmanager
def _unfinished(out: Path) -> Iterator[Path]:
    """Make a hidden folder for unfinished shards, and remove it afterwards; also one that a killed process left."""
    hidden = out.resolve() / _UNFINISHED
    hidden.mkdir(exist_ok=True)
    _empty(hidden)
    try:
        with _named_as_in(out, hidden):
            yield hidden
    finally:
        with suppress(OSError):  # what cannot be removed now, the next run removes
            _empty(hidden)
            # If shards were being replaced, it stays: without a list of classes, nothing else says that they are ours.
            if (out / CLASSES).is_file() or not _shards_in(out):
                hidden.rmdir()


@contextmanager
def _named_as_in(out: Path, hidden: Path) -> Iterator[None]:
    """Let errors name files by where they were to appear: the hidden folder is gone when the message is read."""
    try:
        yield
    except OSError as error:
        if error.filename is None or str(hidden) not in os.fsdecode(error.filename):
            raise
        shown = os.fsdecode(error.filename).replace(str(hidden), str(out))
        raise OSError(error.errno, error.strerror, shown) from error
    except ShardError as error:  # of an index
        url, reason = (text.replace(str(hidden), str(out)) for text in (error.url, error.reason))
        raise ShardError(url, error.key, reason) from error


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _replace_shards(out: Path, finished: Path) -> None:
    """Put what is finished in the place of what is there; the list of classes goes first and comes last."""
    for path in [out / CLASSES, *_shards_in(out)]:
        path.unlink(missing_ok=True)
    for path in [*_shards_in(finished), finished / CLASSES]:
        path.replace(out / path.name)


def _parts(folder: Path, pictures: Sequence[Picture], size: int) -> Iterator[Sequence[Picture]]:
    def numbered() -> Iterator[tuple[int, Picture]]:
        before = 0
        for picture in pictures:
            yield before // size, picture
            before += sum(stat_of(folder / path).st_size for path in picture.members.values())

    for _, part in itertools.groupby(numbered(), key=lambda pair: pair[0]):
        yield [picture for _, picture in part]


def _write(shared: tuple[Path, Mapping[str, int]], part: tuple[Path, Sequence[Picture]]) -> None:
    """Write a shard and its index."""
    (folder, names), (path, pictures) = shared, part
    with ShardWriter(path) as writer:
        for picture in pictures:
            writer.write_members(picture.key, _members(folder, picture, names))
    with suppress(UnindexableError):  # which is said at the end
        write_index(path)


def _members(folder: Path, picture: Picture, names: Mapping[str, int]) -> dict[str, int | bytes]:
    files = {extension: _content(folder / path) for extension, path in picture.members.items()}
    label = {} if picture.label is None else {"cls": names[picture.label]}
    return {**files, **label}


def _content(path: Path) -> bytes:
    with open_regular(path) as file:  # a pipe among the images would never end
        return file.read()


def _tell(console: Console, pictures: Pictures, shards: Sequence[str], names: Mapping[str, int]) -> None:
    classes = f", {counted(len(names), 'class', 'classes')}" if names else ""
    console.print(f"{counted(len(pictures.found), 'image')} in {counted(len(shards), 'shard')}{classes}")
    if companions := pictures.companions:
        console.print(
            f"{counted(len(companions), 'further image')} as members of these, the first: {_printable(companions[0])}"
        )
    if unclear := [picture for picture in pictures.found if picture.is_open]:
        one, other = unclear[0].images[:2]
        console.print(
            f"Several files may be the image in {counted(len(unclear), 'sample')}, in the first {one} or {other}: pass --image {one} or "
            f"--image {other} where the shards are read."
        )
    if pictures.left_out:
        console.print(
            f"Left out, belonging to no image: {counted(len(pictures.left_out), 'file')}, the first: {_printable(pictures.left_out[0])}"
        )


def _printable(path: PurePosixPath) -> str:
    """Return a path with a mark in the place of each byte that is not UTF-8: a terminal takes nothing else."""
    return os.fsencode(path).decode(errors="replace")
