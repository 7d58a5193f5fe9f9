"""The source of a label: a member, perhaps with a path into it, or a function of the members."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from foveal.pipeline.fields._members import MemberError, alternatives, kind_of
from foveal.pipeline.fields.formats._json_document import steps_of
from foveal.shards.naming import JSON

LabelReader = Callable[[Mapping[str, bytes]], Any]
"""A function that returns a sample's label, given its members: a dict of bytes by extension."""


@dataclass(frozen=True, slots=True)
class MemberPath:
    """Which member of a sample holds a label, and where in the member's JSON it stands.

    Attributes:
        extensions: The extensions that the member may have; of several members that a sample has, the first in this order counts.
        path: The path into the member's JSON; empty for all of the member.
    """

    extensions: tuple[str, ...]
    path: str

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of file that such members are, e.g. ``json``."""
        return frozenset(map(kind_of, self.extensions))

    @property
    def is_yolo(self) -> bool:
        """Whether such a member is a text file of YOLO's. YOLO writes none for an image without objects."""
        return self.kinds == {"txt"}

    def is_there(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has such a member."""
        return not members.keys().isdisjoint(self.extensions)


def member_path(source: str) -> MemberPath:
    """Return which member a source names, and which path in it."""
    members, _, path = source.partition(":")
    return MemberPath(alternatives(members), path)


def overlap(one: str, other: str) -> bool:
    """Return whether two sources may name the same place in a sample, or a place in that of the other."""
    first, second = member_path(one), member_path(other)
    steps, others = (steps_of(each.path) or () for each in (first, second))
    shared = min(len(steps), len(others))
    return not set(first.extensions).isdisjoint(second.extensions) and steps[:shared] == others[:shared]


def is_source(source: Any, whole: Collection[str]) -> bool:
    """Return whether a source names members of these kinds, or JSON with a path in it, or is a function.

    Args:
        source: The source that a user gave.
        whole: Kinds of member that need no path. Text and XML cannot be mixed with other kinds.
    """
    if not isinstance(source, str):
        return callable(source)
    location = member_path(source)
    if ":" in source:
        return location.kinds <= JSON and steps_of(location.path) is not None and location.path != ""
    apart = location.kinds & {"txt", "xml"}
    return location.kinds <= set(whole) and (not apart or len(location.kinds) == 1)


def name_of(source: str | LabelReader) -> str:
    """Return the name of a source in messages. It contains no colon, because the text up to a colon must be the same for all samples with one fault."""
    if isinstance(source, str):
        return source.replace(":", " ")
    return str(getattr(source, "__qualname__", type(source).__qualname__))


def read_with(reader: LabelReader, members: Mapping[str, bytes]) -> Any:
    """Call a user's function on a sample's members.

    Raises:
        MemberError: The function raised.
    """
    try:
        return reader(members)
    except Exception as error:
        words = f"{type(error).__name__} {str(error) or 'without a word'}"
        raise MemberError(f"{name_of(reader)} failed: {words}") from error
