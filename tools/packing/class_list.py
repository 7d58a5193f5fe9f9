"""The list of the classes beside packed shards: their names, one a line, in the order of their numbers."""

from collections.abc import Collection
from pathlib import Path

from foveal.shards.store import Store, replacing

CLASSES = "classes.txt"


def read_classes(folder: Path) -> list[str]:
    """Return the names of the classes of a folder that was packed, in the order of their numbers.

    Raises:
        ValueError: The folder holds no ``classes.txt``, an empty one, or one that is not in UTF-8.
    """
    names = listed_classes(folder) if (folder / CLASSES).is_file() else []
    if not names:
        raise ValueError(
            f"classes_from must be a folder that foveal pack wrote with classes, got {str(folder)!r} without names in {CLASSES}."
        )
    return names


def listed_classes(folder: Path) -> list[str]:
    """Return the names in a list that is there; none if the images have no classes.

    Raises:
        ValueError: The list is not in UTF-8.
    """
    path = folder / CLASSES
    return names_in(path.read_bytes(), str(path))


def write_classes(folder: Path, names: Collection[str]) -> None:
    """Write the list."""
    with replacing(folder / CLASSES, sync=True) as file:
        file.write(_content(names))


def list_classes(store: Store, names: Collection[str]) -> None:
    """Write the list into a folder that may be on an object store, unless it is there."""
    content = _content(names)
    if CLASSES not in store.names() or store.read(CLASSES) != content:
        store.write(CLASSES, content)


def names_in(content: bytes, path: str) -> list[str]:
    """Return the names in a list's content.

    Raises:
        ValueError: It is not in UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")  # some editors begin a text with a mark
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{CLASSES} must be in UTF-8, as foveal pack writes it, got {path!r}, which is not – pack its folder again."
        ) from error
    # Editors of Windows end lines with a carriage return, too, which no name holds. Not by splitlines(): a name may hold what only
    # Unicode calls the end of a line.
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _content(names: Collection[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def check_class_names(names: Collection[str]) -> None:
    """Check that the list can hold these names.

    Raises:
        ValueError: One of them is not in UTF-8, or has a line break in it.
    """
    for name in names:
        if {"\n", "\r"} & set(name) or not _is_utf_8(name):
            raise ValueError(
                f"folders of classes must have names in UTF-8 and of one line, got {name!r} – rename the folder."
            )


def _is_utf_8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # the system's bytes, as Python stands in for those that it cannot decode
        return False
    return True
