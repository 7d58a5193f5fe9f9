"""The list of the classes beside packed shards: their names, one a line, in the order of their numbers."""

from collections.abc import Collection
from pathlib import Path

from foveal.shards.store import replacing

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
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{CLASSES} must be in UTF-8, as foveal pack writes it, got {str(path)!r}, which is not – pack its folder again."
        ) from error
    # Not by splitlines(): a name may hold what only Unicode calls the end of a line.
    return text.removesuffix("\n").split("\n") if text else []


def write_classes(folder: Path, names: Collection[str]) -> None:
    """Write the list."""
    with replacing(folder / CLASSES, sync=True) as file:
        file.write("".join(f"{name}\n" for name in names).encode())


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
