"""Which files of one folder make a sample: an image, and what belongs to it by name."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

IMAGE_EXTENSIONS = frozenset(
    [
        "jpg",
        "jpeg",
        "png",
        "webp",
        "tif",
        "tiff",
        "bmp",
        "gif",
        "jp2",
        "j2k",
        "jxl",
        "heic",
        "heif",
        "avif",
        "pnm",
        "ppm",
        "pgm",
        "dcm",
    ]
)
# Two spellings of one format.
_SPELLED = {"jpeg": "jpg", "tiff": "tif", "heif": "heic"}


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of one folder by the name of the sample that they belong to, which all of their names begin with.

    A file belongs to the image with the longest such name: ``0001.json`` and ``0001.mask.png`` to ``0001.jpg``. An image of
    the same format without a letter in the rest of its name is a sample of its own: in ``0.jpg``, ``0.5.jpg``, ``1.jpg`` the
    names are times, and ``photo.1.jpg`` is another download beside ``photo.jpg``.
    """
    stems = _samples(names)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        stem = next((start for start in _starts(name) if start in stems), name.partition(".")[0])
        groups[stem].append(name)
    return groups


def images_of(members: Mapping[str, object]) -> list[str]:
    """Return the extensions of a sample's members that are images, also longer ones such as ``mask.png``."""
    return [extension for extension in members if extension.rpartition(".")[2] in IMAGE_EXTENSIONS]


def extension_of(name: str) -> str:
    """Return the last extension of a file in lower case; nothing if it has none."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def _samples(names: Sequence[str]) -> set[str]:
    """Return the names, without extensions, of the images that are samples."""
    formats: dict[str, set[str]] = defaultdict(set)
    for name in names:
        if (extension := extension_of(name)) in IMAGE_EXTENSIONS:
            formats[name.rpartition(".")[0]].add(_SPELLED.get(extension, extension))
    samples: set[str] = set()
    for stem in sorted(formats, key=len):
        owner = next((start for start in _starts(stem) if start in samples), None)
        if owner is None or (formats[stem] & formats[owner] and not _has_letters(stem[len(owner) :])):
            samples.add(stem)
    return samples


def _starts(name: str) -> Iterator[str]:
    """Yield what stands before each dot, the longest first."""
    return (name[:place] for place in reversed(range(len(name))) if name[place] == ".")


def _has_letters(text: str) -> bool:
    return any(letter.isalpha() for letter in text)
