"""Which files of one folder make a sample: an image, and what belongs to it by name."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from foveal.shards.naming import IMAGES

# Maps of numbers, which are images where there are no others: beside an image they are its labels.
MAPS = frozenset({"npy", "pfm"})
PICTURES = IMAGES - MAPS
# Several spellings of one format.
_SPELLED = {
    **dict.fromkeys(("jpeg", "jpe", "jfif"), "jpg"),
    **dict.fromkeys(("j2k", "j2c", "jpc", "jpf", "jpx"), "jp2"),
    **dict.fromkeys(("heif", "hif"), "heic"),
    **dict.fromkeys(("hdp", "wdp"), "jxr"),
    "apng": "png",
    "avifs": "avif",
    "tiff": "tif",
    "dicom": "dcm",
}


def grouped(names: Sequence[str], kinds: Collection[str] = PICTURES) -> dict[str, list[str]]:
    """Return the files of one folder by the name of the sample that they belong to, which all of their names begin with.

    A file belongs to the image with the longest such name: ``0001.json`` and ``0001.mask.png`` to ``0001.jpg``. An image of
    the same format without a letter in the rest of its name is a sample of its own: in ``0.jpg``, ``0.5.jpg``, ``1.jpg`` the
    names are times, and ``photo.1.jpg`` is another download beside ``photo.jpg``.

    Args:
        names: The files' names.
        kinds: The extensions of images.
    """
    stems = _samples(names, kinds)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        stem = next((start for start in _starts(name) if start in stems), name.partition(".")[0])
        groups[stem].append(name)
    return groups


def images_of(members: Mapping[str, object]) -> list[str]:
    """Return the extensions of a sample's members that are images, also longer ones such as ``mask.png``; maps if there are none."""
    kinds = {extension: extension.rpartition(".")[2] for extension in members}
    images = [extension for extension, kind in kinds.items() if kind in PICTURES]
    return images or [extension for extension, kind in kinds.items() if kind in MAPS]


def extension_of(name: str) -> str:
    """Return the last extension of a file in lower case; nothing if it has none."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def _samples(names: Sequence[str], kinds: Collection[str]) -> set[str]:
    """Return the names, without extensions, of the images that are samples."""
    formats: dict[str, set[str]] = defaultdict(set)
    for name in names:
        if (extension := extension_of(name)) in kinds:
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
