"""The samples of a folder of images: each image with the files that belong to it, and its class."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from foveal.shards.index import split_name
from foveal.shards.naming import PACKED
from foveal.tools.console.choices import IMAGE
from foveal.tools.packing._groups import MAPS, PICTURES, extension_of, grouped, images_of

# A member of such a name is an error to webdataset, or replaced by its own.
_OF_WEBDATASET = ("__key__", "__local_path__", "__url__")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a folder.

    Attributes:
        key: Its name as a sample: the path below the folder without the extension, with ``_`` for dots in the file's name.
        members: Its files by extension, relative to the folder.
        label: The name of its class, or None.
    """

    key: str
    members: Mapping[str, PurePosixPath]
    label: str | None

    @property
    def images(self) -> list[str]:
        """The extensions of one part that are an image's, sorted: each may be the image itself. ``mask.png`` belongs to it."""
        return sorted(extension for extension in images_of(self.members) if "." not in extension)

    @property
    def is_open(self) -> bool:
        """Whether several files may be the image. Of those that a loader takes without being told, the first is."""
        return len(self.images) > 1 and not set(self.images) <= set(IMAGE.split(";"))

    @property
    def companions(self) -> list[PurePosixPath]:
        """Its files that are images, too, besides the one with the shortest extension."""
        return [self.members[extension] for extension in sorted(images_of(self.members), key=len)[1:]]


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a folder holds.

    Attributes:
        found: Its images, sorted by key.
        left_out: Files that belong to no image, relative to the folder.
    """

    found: Sequence[Picture]
    left_out: Sequence[PurePosixPath]

    @property
    def labels(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted({picture.label for picture in self.found if picture.label is not None})

    @property
    def companions(self) -> list[PurePosixPath]:
        """Images that are members of another image's sample, such as masks, sorted."""
        return sorted(path for picture in self.found for path in picture.companions)


def find_pictures(folder: Path, *, labelled: bool | None = None) -> Pictures:
    """Return the images below a folder, with the files that belong to each.

    ``a/0001.json`` and ``a/0001.mask.png`` belong to ``a/0001.jpg``: their names begin with the image's name up to its
    extension, and a dot; :func:`grouped` has the rule. ``0001.`` has no extension, and belongs to none. Where there is no other image, maps of
    numbers (``0001.npy``) are images.
    Hidden files, and what macOS adds (``._0001.jpg``), are passed over. A link to a folder is taken as that folder, unless it
    lies in it.

    Args:
        folder: Where to look, in all folders below it, too.
        labelled: Whether the class of an image is the name of the first folder on its path. None: if no image lies in
            ``folder`` itself.

    Raises:
        FileNotFoundError: There is no such folder; or there is a link to nothing.
        OSError: A folder below it cannot be read.
        ValueError: There is no image; an image that needs a class has none; two images would have one key; or webdataset would
            not return an image or another file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"folder must be a folder of images, got {str(folder)!r}, which is none.")
    images, left_out = _found(folder)
    for file in left_out:
        stat_of(folder / file)  # a link to nothing may be meant for a folder of images
    if not images:
        raise _no_images(folder, left_out)
    if labelled is None:
        labelled = all(len(path.parts) > 1 for path in images)
    found = [_picture(path, members, labelled=labelled) for path, members in images.items()]
    return Pictures(_with_own_keys(found), sorted(left_out))


def is_for_images(folder: Path) -> bool:
    """Say whether a folder is one of images: there is an image, or a map of numbers, anywhere below it, or no shard but other files.

    Raises:
        OSError: A folder cannot be read.
    """
    has_files = has_shards = False
    for path in _files(folder):
        if _has_image([path.name], PICTURES | MAPS):
            return True
        has_files, has_shards = True, has_shards or path.name.endswith((".tar", *PACKED))
    return has_files and not has_shards


def stat_of(path: Path) -> os.stat_result:
    """Return the state of a file that was found.

    Raises:
        FileNotFoundError: It is a link to nothing.
    """
    try:
        return path.stat()
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        raise FileNotFoundError(
            f"images must be files that exist, got {str(path)!r}, a link to {str(path.readlink())!r} – remove it, or mount "
            "what it points to."
        ) from None


def _files(folder: Path) -> Iterable[PurePosixPath]:
    """Return all files below a folder, relative to it, also through links to folders."""
    left = [(PurePosixPath(), frozenset[tuple[int, int]]())]
    while left:
        below, above = left.pop()
        here = _identity(folder / below)
        if here in above:  # a link leads back to where it lies
            continue
        folders, names = _entries(folder / below)
        yield from (below / name for name in names)
        left += [(below / name, above | {here}) for name in reversed(folders)]


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder, sorted, without hidden ones."""
    try:
        with os.scandir(folder) as found:
            kinds = {entry.name: entry.is_dir() for entry in found if not entry.name.startswith(".")}
    except OSError as error:
        raise OSError(
            f"folder must be a folder of images in which every folder can be read, got {error.filename!r}: {error.strerror} – make "
            "it readable, or move it elsewhere."
        ) from error
    return sorted(name for name in kinds if kinds[name]), sorted(name for name in kinds if not kinds[name])


def _no_images(folder: Path, files: Sequence[PurePosixPath]) -> ValueError:
    found = f"files named otherwise, such as {str(min(files))!r}" if files else "no files"
    return ValueError(
        f"folder must hold images, got {str(folder)!r} with {found} – convert what is in another format, and rename what is in "
        f"one of these: {', '.join(sorted(PICTURES | MAPS))}."
    )


def _found(folder: Path) -> tuple[dict[PurePosixPath, dict[str, PurePosixPath]], list[PurePosixPath]]:
    """Return the files of each image by extension, and the files that belong to none."""
    by_folder: dict[PurePosixPath, list[str]] = defaultdict(list)
    for path in _files(folder):
        by_folder[path.parent].append(path.name)
    kinds = PICTURES if any(_has_image(names, PICTURES) for names in by_folder.values()) else MAPS
    images: dict[PurePosixPath, dict[str, PurePosixPath]] = {}
    left_out: list[PurePosixPath] = []
    for below, names in by_folder.items():
        for stem, group in grouped(names, kinds).items():
            without_extension, has_image = f"{stem}.", _has_image(group, kinds)
            if has_image:
                members = [name for name in group if name != without_extension]
                images[below / stem] = _members(below, stem, members)
            left_out += [below / name for name in group if not has_image or name == without_extension]
    return images, left_out


def _has_image(names: Iterable[str], kinds: Collection[str]) -> bool:
    return any(extension_of(name) in kinds for name in names)


def _members(below: PurePosixPath, stem: str, names: Sequence[str]) -> dict[str, PurePosixPath]:
    """Return the files of a group by what follows the name that they have in common."""
    members: dict[str, PurePosixPath] = {}
    for name in names:
        extension = name[len(stem) + 1 :].lower()
        other = members.setdefault(extension, below / name)
        if other.name != name:
            raise ValueError(
                f"names of files must differ by more than upper and lower case, got {str(other)!r} and {str(below / name)!r} – "
                "rename one."
            )
    return members


def _picture(path: PurePosixPath, members: Mapping[str, PurePosixPath], *, labelled: bool) -> Picture:
    if labelled and len(path.parts) == 1:
        raise ValueError(
            f"images must lie in a folder named by their class, got {path.name!r} beside such folders – move it, or pass "
            "--no-classes."
        )
    if labelled and "cls" in members:
        raise ValueError(
            f"the class must come from the folder or from a cls file, got both for {str(path)!r} – pass --no-classes to "
            "keep the cls files."
        )
    key = str(path.with_name(path.name.replace(".", "_")))
    _check_names(key, members)
    return Picture(key, members, path.parts[0] if labelled else None)


def _check_names(key: str, members: Mapping[str, PurePosixPath]) -> None:
    if split_name(f"{key}.jpg") is None:
        image = str(members[min(images_of(members), key=len)])
        raise ValueError(
            f"images must not lie in a folder that is named like __this__, which webdataset passes over, got {image!r} – rename the "
            "folder."
        )
    for extension in _OF_WEBDATASET:
        if extension in members:
            raise ValueError(
                f"names of files must not end with {extension}, which webdataset keeps for itself, got {str(members[extension])!r} – "
                "rename it."
            )


def _with_own_keys(pictures: Iterable[Picture]) -> list[Picture]:
    by_key: dict[str, Picture] = {}
    for picture in pictures:
        other = by_key.setdefault(picture.key, picture)
        if other is not picture:
            names = sorted(str(next(iter(p.members.values()))) for p in (other, picture))
            raise ValueError(
                f"names of images must differ with '_' for '.', got {names[0]!r} and {names[1]!r} – rename one."
            )
    return [by_key[key] for key in sorted(by_key)]
