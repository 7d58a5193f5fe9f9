"""Labels that no option of ``foveal zoom`` warps: they are found in samples, and reported with the option that would warp them, or left out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from foveal.pipeline import DecodeError
from foveal.pipeline.decoding import label_image
from foveal.pipeline.fields import (
    MemberError,
    alternatives,
    areas_in_document,
    kind_of,
    kind_of_label,
    labels_in_document,
    located_elements,
    parse_member,
    without_elements,
    without_labels,
)
from foveal.shards.naming import JSON
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard_files import RECORD

_PICTURES = frozenset(("bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"))
_XY, _XYV = " --point-format xy", " --point-format xyv"
_FORMATS = {
    "segmentation": _XY,
    "keypoints": _XYV,
    "bbox": " --box-format xywh",
}
_POLYGONS = " --box-format xyxy (boxes take the place of polygons)"
_NO_OPTION = "cannot be warped as it is"


class Unwarped(NamedTuple):
    """A label in the frame of the original."""

    source: str
    """Where: ``json:boxes``, ``mask.png``."""

    option: str
    """The option that warps it, or that none does."""


def unwarped(members: Mapping[str, bytes], size: tuple[int, int], recipe: Recipe) -> list[Unwarped]:
    """Return the labels of a sample that a recipe does not warp, recognised by their names and contents.

    Args:
        members: Of the sample, without its original image.
        size: (height, width) of that in pixels.
        recipe: The settings of the run.
    """
    found = [each for name in members for each in _in_member(name, members, size)]
    warped = {place for source in (*recipe.boxes, *recipe.points, *recipe.masks) for place in _places(source)}
    warped |= {_area_beside(place) for source in recipe.masks for place in _places(source)}
    beside = [each for name in members if name in warped for each in _beside_boxes(name, members[name])]
    return [each for each in found if each.source not in warped] + beside


def without(members: Mapping[str, bytes], labels: Sequence[Unwarped]) -> dict[str, bytes]:
    """Return members without some labels: JSON and XML without these entries, and without other members that are labels."""
    left = dict(members)
    paths: dict[str, set[str]] = {}
    for label in labels:
        member, colon, path = label.source.partition(":")
        if colon:
            paths.setdefault(member, set()).add(path)
        else:
            del left[member]
    for member, those in paths.items():
        if kind_of(member) == "xml":
            left[member] = without_elements(member, members[member], [_last(path) for path in those])
        else:
            document = without_labels(parse_member(member, members), frozenset(those))
            left[member] = json.dumps(document).encode()
    return left


def _beside_boxes(name: str, content: bytes) -> Iterator[Unwarped]:
    """Yield the labels that stand beside the boxes of a member whose boxes are warped."""
    if kind_of(name) == "xml":
        with suppress(MemberError):
            for element in located_elements(name, content):
                yield Unwarped(f"{name}:object.{element}", _NO_OPTION)


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _places(source: str) -> list[str]:
    """Return the locations that a source with alternatives names."""
    names, colon, path = source.partition(":")
    return [f"{name}{colon}{path}" for name in alternatives(names)]


def _area_beside(place: str) -> str:
    """Return the location of the area beside a mask, which is counted anew when the mask is written."""
    above, _, _ = place.rpartition(".")
    return f"{above}.area"


def _in_member(name: str, members: Mapping[str, bytes], size: tuple[int, int]) -> Iterator[Unwarped]:
    kind, content = kind_of(name), members[name]
    if name == RECORD:
        return
    if kind in JSON:
        yield from _in_json(name, members)
    elif kind == "txt":
        words = _words_of_yolo(content)
        if words:
            yield Unwarped(name, f"--boxes {name}{'' if words <= 6 else _POLYGONS}")
    elif kind == "xml" and b"<bndbox>" in content:
        yield Unwarped(name, f"--boxes {name}")
    elif kind == "npy":
        yield from _array(name, members, size)
    elif kind in _PICTURES and (kind_of_label(name) or _covers(content, size)):
        yield Unwarped(name, f"--mask {name}" if kind == "png" else f"{_NO_OPTION}: make it a png")


def _in_json(name: str, members: Mapping[str, bytes]) -> Iterator[Unwarped]:
    try:
        document = parse_member(name, members)
    except MemberError:
        return
    found, whole = labels_in_document(document), kind_of_label(name)
    if not found and whole is not None and isinstance(document, list) and document:
        yield Unwarped(name, f"--{whole} {name}" if whole != "mask" else _NO_OPTION)
    forms = [_FORMATS.get(_last(path).rstrip("[]"), "") if "[]." in path else "" for path, *_ in found]
    for (path, kind, value), form in zip(found, forms, strict=True):
        source = f"{name}:{path}"
        quoted = f"'{source}'" if "[" in path else source
        if form == _XY and _XYV in forms:  # a run has one --point-format, and a mask needs none
            yield Unwarped(source, f"--mask {quoted}")
            continue
        known = kind != "mask" or (isinstance(value, dict) and "counts" in value)
        yield Unwarped(source, f"--{kind} {quoted}{form if kind != 'mask' else ''}" if known else _NO_OPTION)
    for path in areas_in_document(document):
        yield Unwarped(f"{name}:{path}", _NO_OPTION)


def _array(name: str, members: Mapping[str, bytes], size: tuple[int, int]) -> Iterator[Unwarped]:
    kind = kind_of_label(name)
    with suppress(MemberError):
        array = parse_member(name, members)
        if kind is None and array.dtype.kind in "biu" and array.shape == size:
            kind = "mask"
    if kind is not None:
        yield Unwarped(name, f"--{kind} {name}")


def _words_of_yolo(content: bytes) -> int:
    """Return the number of words of the longest line if all lines are those of YOLO's label files, else 0."""
    try:
        lines = [words for line in content.decode("utf-8-sig").splitlines() if (words := line.split())]
        fits = all(_is_line_of_yolo(words) for words in lines)
    except ValueError:
        return 0
    return max(map(len, lines), default=0) if fits else 0


def _is_line_of_yolo(words: Sequence[str]) -> bool:
    return len(words) >= 5 and words[0].isdecimal() and all(0 <= float(word) <= 1 for word in words[1:])


def _covers(content: bytes, size: tuple[int, int]) -> bool:
    """Return whether a picture has the aspect of the image and one value for each pixel, at any resolution."""
    try:
        image = label_image(content)
    except DecodeError:
        return False
    rows, cols = image.values.shape[:2]
    return image.is_grey and abs(rows * size[1] - cols * size[0]) < max(size)
