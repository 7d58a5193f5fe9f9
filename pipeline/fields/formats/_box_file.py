"""Boxes in a member: the interface of all formats of label files."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from foveal._choices import BoxFormat, Frame
from foveal.pipeline.fields.formats._columns import LabelName


class BoxTable(NamedTuple):
    """The boxes of one sample, as in its member."""

    rows: Any
    """(n, 4) float64 in the member's own format and frame; a box that is absent is a row of NaN."""

    labels: dict[LabelName, list[Any]]
    """Their labels, each of length n."""

    size: tuple[int, int] | None = None
    """The (height, width) that the member says its image has, if it does."""


class NewBoxes(NamedTuple):
    """Boxes that replace those in a member."""

    rows: Any
    """(k, 4) float32 in the member's own format and frame."""

    places: Sequence[int]
    """Their numbers among the old boxes; the others are removed, or null where another box of their item is left."""

    labels: Sequence[LabelName]
    """The labels that are removed with boxes."""

    size: tuple[int, int]
    """The (height, width) of the image that they lie in."""


@dataclass(frozen=True, slots=True)
class BoxFile(ABC):
    """A member that has boxes.

    Attributes:
        member: Its extension.
        path: The path to the boxes in it; empty if it has nothing else.
        format: The meaning of a box's four numbers.
        frame: Their unit.
    """

    member: str
    path: str
    format: BoxFormat
    frame: Frame

    @property
    def name(self) -> str:
        """Its name in messages. It contains no colon, because the text up to a colon must be the same for all samples with one fault."""
        return f"{self.member} {self.path}".strip()

    @abstractmethod
    def read(self, content: bytes, labels: Sequence[LabelName]) -> BoxTable:
        """Return the boxes.

        Raises:
            MemberError: It is not such a file.
        """

    @abstractmethod
    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return the content with other boxes; everything else stays unchanged."""

    def has_boxes(self, content: bytes) -> bool:  # noqa: ARG002 - most formats are nothing but boxes
        """Return whether there is an entry for boxes, even an empty list."""
        return True

    @property
    def takes_points(self) -> bool:
        """Whether a box may also be given by points around which it lies: two corners, a polygon."""
        return self.format == "xyxy"
