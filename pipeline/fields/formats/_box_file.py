"""Boxes in a member: what all formats of label files have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from foveal._choices import BoxFormat, Frame
from foveal.pipeline.fields.formats._columns import LabelName


class BoxTable(NamedTuple):
    """The boxes of one sample, as its member has them."""

    rows: Any
    """(n, 4) float64 in the member's own format and frame; a box that is absent is a row of NaN."""

    labels: dict[LabelName, list[Any]]
    """What stands beside them, each of length n."""

    size: tuple[int, int] | None = None
    """The (height, width) that the member says its image has, if it does."""


class NewBoxes(NamedTuple):
    """Boxes to put in the place of those that a member has."""

    rows: Any
    """(k, 4) float32 in the member's own format and frame."""

    places: Sequence[int]
    """Which of the old ones they are; the others leave."""

    labels: Sequence[LabelName]
    """What else leaves with them."""

    size: tuple[int, int]
    """The (height, width) of the image that they lie in."""


@dataclass(frozen=True, slots=True)
class BoxFile(ABC):
    """A member that has boxes.

    Attributes:
        member: Its extension.
        path: Where in it the boxes are; empty if it has nothing else.
        format: What the four numbers of a box are.
        frame: What they count.
    """

    member: str
    path: str
    format: BoxFormat
    frame: Frame

    @property
    def name(self) -> str:
        """What messages call it: up to a colon they are the same for all samples with one fault."""
        return f"{self.member} {self.path}".strip()

    @abstractmethod
    def read(self, content: bytes, labels: Sequence[LabelName]) -> BoxTable:
        """Return the boxes.

        Raises:
            MemberError: It is no such file.
        """

    @abstractmethod
    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return it with other boxes, all else as it was."""

    def has_boxes(self, content: bytes) -> bool:  # noqa: ARG002 - most formats are nothing but boxes
        """Return whether there is a place for boxes, be it an empty list."""
        return True

    @property
    def takes_points(self) -> bool:
        """Whether a box may also be given by points around which it lies: two corners, a polygon."""
        return self.format == "xyxy"
