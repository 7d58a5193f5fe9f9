"""What a batch is made of: webdataset's member names, and the loader's own double-underscore fields."""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from foveal.shards._extensions import INTEGERS, JSON

# Extensions of which one among its alternatives makes a field the image.
_IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "jp2", "pgm", "pnm", "ppm", "tif", "tiff")
IMAGE = "jpg;jpeg;png;webp"

# What the loader knows about a sample besides its members.
OWN_FIELDS = ("__key__", "__url__", "__size__", "__valid__", "__grid__", "__saliency__", "__view__")


class MemberError(Exception):
    """A member that is missing or does not hold what its name says. The reader adds shard and key."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a batch, in the order in which they are delivered.

    Attributes:
        names: As the user wrote them.
        image: Member extensions that may hold the image, the first that is there counts.
    """

    names: tuple[str, ...]
    image: tuple[str, ...]

    @property
    def members(self) -> frozenset[str]:
        """Every member that may be needed of a sample."""
        named = (_alternatives(name) for name in self.names if name not in OWN_FIELDS)
        return frozenset(extension for names in named for extension in names)

    def encoded_image(self, members: Mapping[str, bytes]) -> bytes:
        """Return the member that holds the image, still encoded."""
        return members[_find(self.image, members)]

    def labels(self, members: Mapping[str, bytes]) -> dict[str, Any]:
        """Return what the members hold that are fields and no image, parsed by their extension."""
        names = (name for name in self.names if name not in OWN_FIELDS and not self.is_image(name))
        return {name: _parse_member(name, members) for name in names}

    def is_image(self, name: str) -> bool:
        """Say whether this field is the image that is zoomed."""
        return name not in OWN_FIELDS and _alternatives(name) == self.image


def parse_fields(fields: Sequence[str]) -> Fields:
    """Check the fields that a user asks for.

    Args:
        fields: ``"image"``, member extensions such as ``"cls"`` or ``"json"``, alternatives such as
            ``"cls;txt"``, and the loader's own: ``__key__``, ``__url__``, ``__size__``,
            ``__valid__``, ``__grid__``, ``__saliency__``, ``__view__``.

    Raises:
        ValueError: A field that is unknown or named twice, or not exactly one image.
    """
    names = (fields,) if isinstance(fields, str) else tuple(fields)
    for name in names:
        if not isinstance(name, str) or not name or (name.startswith("__") and name not in OWN_FIELDS):
            raise ValueError(
                f"fields must be member extensions or one of image, {', '.join(OWN_FIELDS)}, got {name!r}."
            )
    images = [name for name in names if _is_image(name)]
    if len(images) != 1 or len(set(names)) != len(names):
        raise ValueError(f"fields must name exactly one image and nothing twice, got {names!r}.")
    return Fields(names=names, image=_alternatives(images[0]))


def collate(name: str, values: list[Any]) -> Any:
    """Join one field of a batch: numbers and arrays of one shape to a tensor, all else to a list."""
    if not values and _kind(name) in INTEGERS:
        return torch.empty(0, dtype=torch.int64)
    if not values or not all(isinstance(value, np.ndarray) for value in values):
        return values
    if len({(value.shape, value.dtype) for value in values}) > 1:
        return [torch.from_numpy(value) for value in values]
    return torch.from_numpy(np.stack(values))


def _alternatives(name: str) -> tuple[str, ...]:
    return tuple((IMAGE if name == "image" else name).lower().split(";"))


def _is_image(name: str) -> bool:
    return any(extension in _IMAGE_EXTENSIONS for extension in _alternatives(name))


def _find(extensions: Iterable[str], members: Mapping[str, bytes]) -> str:
    for extension in extensions:
        if extension in members:
            return extension
    raise MemberError(f"member is missing: there is no {' or '.join(extensions)}")


def _kind(extension: str) -> str:
    return extension.rpartition(".")[2]


def _parse_member(name: str, members: Mapping[str, bytes]) -> Any:
    extension = _find(_alternatives(name), members)
    content = members[extension]
    parse, expected = _PARSERS.get(_kind(extension), (bytes, "bytes"))
    try:
        return parse(content)
    except (ValueError, OverflowError, EOFError) as error:
        shown = repr(content[:40]) + ("..." if len(content) > 40 else "")
        raise MemberError(f"{extension} is not {expected}: {shown}") from error


def _integer(content: bytes) -> Any:
    return np.asarray(int(content), dtype=np.int64)


def _text(content: bytes) -> str:
    return content.decode()


def _array(content: bytes) -> Any:
    # Nothing in a shard is ever unpickled.
    array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    if array.dtype.kind not in "biufc":
        raise ValueError(array.dtype)
    return array


# By the last part of the extension, as webdataset's own decoders do it.
_PARSERS: dict[str, tuple[Callable[[bytes], Any], str]] = {
    **dict.fromkeys(INTEGERS, (_integer, "an integer")),
    **dict.fromkeys(JSON, (json.loads, "JSON")),
    **dict.fromkeys(("txt", "text", "transcript"), (_text, "UTF-8 text")),
    "npy": (_array, "a NumPy array of numbers"),
}
