"""The fields of a batch: webdataset's member names, labels that are warped, and the loader's own fields."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

from foveal.pipeline.fields._absences import Absences
from foveal.pipeline.fields._boxes import Boxes
from foveal.pipeline.fields._members import (
    MemberError,
    alternatives,
    find_member,
    is_parsed,
    kind_of,
    parse_member,
)
from foveal.pipeline.fields._saliency import Saliency
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.shards.naming import IMAGES, INTEGERS

IMAGE = "jpg;jpeg;png;webp"

# Fields that the loader itself provides about a sample.
OWN_FIELDS = (
    "__key__",
    "__url__",
    "__index__",
    "__members__",
    "__size__",
    "__valid__",
    "__grid__",
    "__saliency__",
    "__view__",
)

G = TypeVar("G", Boxes | None, Saliency | None)

Field = str | SpatialField
"""A field of a batch, as :class:`ZoomLoader` takes them."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a batch, in the order in which they are delivered.

    Attributes:
        names: The fields as the user wrote them.
        image: Member extensions that may hold the image; the first that exists counts.
        guide: Boxes that the zoom needs; they are read with the others, and delivered only if ``names`` has them.
        map_guide: The map that the zoom needs, likewise.
        condition: Plain fields that the zoom needs, likewise.
        absences: Detects labels that no sample has.
        keys: Names of the fields in a batch that is a dict; None if batches are tuples.
    """

    names: tuple[Field, ...]
    image: tuple[str, ...]
    guide: Boxes | None = None
    absences: Absences = field(default_factory=Absences, compare=False, repr=False)
    keys: tuple[str, ...] | None = None
    map_guide: Saliency | None = None
    condition: tuple[str, ...] = ()

    @property
    def members(self) -> frozenset[str] | None:
        """All members that may be needed of a sample; None for all of its members."""
        named = [_extensions(name) for name in self._read if name not in OWN_FIELDS]
        if "__members__" in self.names or None in named:
            return None
        return frozenset(extension for names in named for extension in names or ())

    @property
    def spatial(self) -> tuple[SpatialField, ...]:
        """The fields that are warped."""
        return tuple(name for name in self.names if isinstance(name, SpatialField))

    def encoded_image(self, members: Mapping[str, bytes]) -> bytes:
        """Return the member that holds the image, still encoded."""
        with _read_for(self.image_name):
            return members[find_member(self.image, members)]

    def labels(self, members: Mapping[str, bytes]) -> dict[str, Any]:
        """Return the plain fields other than the image, parsed by their extension."""
        labels: dict[str, Any] = {}
        for name in dict.fromkeys((*self.names, *self.condition)):
            if isinstance(name, str) and name not in OWN_FIELDS and not self.is_image(name):
                with _read_for(field_name(name)):
                    labels[name] = parse_member(name, members)
        return labels

    def located(
        self, members: Mapping[str, bytes], *, max_pixels: int | None = None
    ) -> dict[SpatialField, Any]:
        """Return the labels that are to be warped, in the frame of the original; masks may have at most ``max_pixels`` pixels."""
        located: dict[SpatialField, Any] = {}
        for name in self._read:
            if isinstance(name, SpatialField):
                with _read_for(field_name(name)):
                    located[name] = name.read(members, max_pixels=max_pixels)
                self.absences.note(name, members)
        return located

    @property
    def image_name(self) -> str:
        """The image's name as :func:`field_name` gives it."""
        return ";".join(self.image)

    def field_with(self, extension: str) -> str:
        """Return the name of a field that reads this member, as :func:`field_name` gives it."""
        named = (name for name in self._read if extension in (_extensions(name) or ()))
        return next(map(field_name, named), "__members__")

    def digest(self, field: str, members: Mapping[str, bytes]) -> str:
        """Return a hash of what a field is read from: its members, and the image, which a label must fit.

        Args:
            field: Its name, as :func:`field_name` returns it.
            members: The members of a sample that were read.
        """
        extensions = next((_extensions(each) for each in self._read if field_name(each) == field), None)
        image = next((each for each in self.image if each in members), None)
        named = members if extensions is None else extensions
        beside = [] if field == self.image_name else sorted(set(named) & members.keys() - {image})
        return digest_of(members[each] for each in (*([] if image is None else [image]), *beside))

    @property
    def asked(self) -> dict[str, str]:
        """The members that may hold each field that is read, by its name, as :func:`field_name` returns it; the image comes first.

        Alternatives are joined by ``;``; "" stands for any members.
        """
        return {
            self.image_name: self.image_name,
            **{field_name(each): ";".join(_extensions(each) or ()) for each in self._read},
        }

    @property
    def _read(self) -> tuple[Field, ...]:
        guides = [
            each for each in (self.guide, self.map_guide) if each is not None and each not in self.names
        ]
        return (*self.names, *guides, *(name for name in self.condition if name not in self.names))

    def is_image(self, name: Field) -> bool:
        """Return whether this field is the image that is zoomed."""
        return isinstance(name, str) and name not in OWN_FIELDS and _extensions(name) == self.image


def parse_fields(
    fields: Sequence[Field] | Mapping[str, Field],
    *,
    guide: Boxes | None = None,
    map_guide: Saliency | None = None,
    condition: Sequence[str] = (),
) -> Fields:
    """Check and parse the fields that a user gives.

    The image is ``"image"`` or a member of an image's extension. If there is none, it is a member whose extension ends with
    one (``"left.jpg"``), else an ``npy``, else one with an unknown extension (``"img"``). So a mask can be delivered
    beside an image, as bytes.

    Args:
        fields: ``"image"``, member extensions such as ``"cls"`` or ``"json"``, alternatives such as
            ``"cls;txt"``, labels that follow the zoom (``Boxes``, ``Points``, ``Mask``), and the loader's own:
            ``__key__``, ``__url__``, ``__index__``, ``__members__``, ``__size__``, ``__valid__``, ``__grid__``,
            ``__saliency__``, ``__view__``. A mapping gives each a name; batches are then dicts with these names.
        guide: Boxes that the zoom itself needs. If ``fields`` has boxes of the same source, these are used, because they
            say what the four numbers of a box are.
        map_guide: The map that the zoom itself needs, likewise.
        condition: Plain fields that the zoom needs.

    Raises:
        ValueError: A condition is not a member; a field is unknown or named twice; or there is not exactly one image.
    """
    keys = tuple(fields) if isinstance(fields, Mapping) else None
    if isinstance(fields, Mapping):
        fields = tuple(fields.values())
    names = (fields,) if isinstance(fields, str | SpatialField) else tuple(fields)
    for name in names:
        if not _is_known(name):
            raise ValueError(
                "fields must be member extensions, Boxes, Points, Mask, Saliency or one of image, "
                f"{', '.join(OWN_FIELDS)}, got {name!r}."
            )
    for name in condition:
        if not isinstance(name, str) or not _is_known(name) or name in OWN_FIELDS:
            raise ValueError(f"condition must be member extensions, such as 'txt' or 'npy', got {name!r}.")
    images = _images(names)
    if len(images) != 1 or len(set(names)) != len(names):
        raise ValueError(
            f"fields must name exactly one image and nothing twice, got {names!r} – name it by its member's extension, such "
            'as "tif" or "left.jpg", and ask for other images by "__members__".'
        )
    return Fields(
        names=names,
        image=_of_member(images[0]),
        guide=_as_named(guide, names),
        keys=keys,
        map_guide=_as_named(map_guide, names),
        condition=tuple(condition),
    )


def digest_of(parts: Iterable[bytes]) -> str:
    """Return a hash of some files, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d " % len(part) + part)
    return digest.hexdigest()[:32]


def field_name(field: Field) -> str:
    """Return a name that two fields share only if both read the same members of a sample in the same way.

    Returns:
        The extensions of a plain field, such as ``"jpg;jpeg;png;webp"`` for ``"image"``; for labels that are warped, the
        expression that makes the field, in which functions are told apart by their names.
    """
    return field.expression if isinstance(field, SpatialField) else ";".join(_extensions(field) or ())


@contextmanager
def _read_for(name: str) -> Iterator[None]:
    """Add to an error the field for which its member was read."""
    try:
        yield
    except MemberError as error:
        error.field = name
        raise


def collate(name: str, values: list[Any], example: Callable[[str], Any] = lambda _: None) -> Any:
    """Join one field of a batch: numbers, and arrays of one shape, to a tensor, everything else to a list.

    Args:
        name: The field.
        values: What it is in each sample.
        example: Returns what it is in some sample, which tells the shape of arrays if there are no values here.
    """
    if not values:
        return _nothing_of(name, example)
    if not all(isinstance(value, np.ndarray) for value in values):
        return list(map(_beside_others, values))
    if len({(value.shape, value.dtype) for value in values}) > 1:
        return [torch.from_numpy(value) for value in values]
    return torch.from_numpy(np.stack(values))


def _beside_others(value: Any) -> Any:
    """Return an integer or an array of a list in which there are also others, as Python and torch have them."""
    if not isinstance(value, np.ndarray):
        return value
    return value.item() if value.ndim == 0 else torch.from_numpy(value)


def _nothing_of(name: str, example: Callable[[str], Any]) -> Any:
    kinds = set(map(kind_of, alternatives(name)))
    if kinds <= INTEGERS:
        return torch.empty(0, dtype=torch.int64)
    value = example(name) if kinds & {*INTEGERS, "npy"} else None
    return torch.from_numpy(value[None][:0]) if isinstance(value, np.ndarray) else []


def _is_known(name: Field) -> bool:
    if not isinstance(name, str):
        return isinstance(name, SpatialField)
    return bool(name) and (not name.startswith("__") or name in OWN_FIELDS)


def _as_named(guide: G, names: Sequence[Field]) -> G:
    """Return the user's field of the guide's kind and source if there is one, because it has more settings."""
    alike: Any = (name for name in names if type(name) is type(guide) and name.source == guide.source)
    return next(alike, guide)


def _images(names: Sequence[Field]) -> list[str]:
    """Return the fields that are the image, by the first rule that finds any."""
    members = {name: _of_member(name) for name in names if isinstance(name, str) and name not in OWN_FIELDS}
    rules = (
        lambda extension: extension in IMAGES,
        lambda extension: kind_of(extension) in IMAGES,
        lambda extension: kind_of(extension) == "npy",
        lambda extension: not is_parsed(extension),
    )
    found = ([name for name, extensions in members.items() if any(map(rule, extensions))] for rule in rules)
    return next(filter(None, found), [])


def _extensions(name: Field) -> tuple[str, ...] | None:
    """Return the members that may hold a field; None for any."""
    return name.extensions if isinstance(name, SpatialField) else _of_member(name)


def _of_member(name: str) -> tuple[str, ...]:
    return alternatives(IMAGE if name == "image" else name)
