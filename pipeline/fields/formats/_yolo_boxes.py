"""Boxes in YOLO's text files: a line for each, ``class x y width height``, as fractions of the image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields.formats._box_file import BoxFile, BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName, named_columns
from foveal.pipeline.fields.formats._decimals import as_word, rounded
from foveal.pipeline.fields.formats._yolo_lines import yolo_lines


class YoloBoxes(BoxFile):
    """Lines of five numbers, the class first, or of six with a confidence at the end. Column 0 is the class.

    In the format ``"xyxy"`` a line may also be a class and at least three corners (x, y): the box lies around them.
    """

    __slots__ = ()

    def read(self, content: bytes, labels: Sequence[LabelName]) -> BoxTable:
        """Return the boxes; an empty file has none."""
        numbers = self._numbers(content)
        return BoxTable(numbers[:, 1:5], named_columns(self.name, numbers, labels))

    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return the lines of the boxes that are kept."""
        old = yolo_lines(self.member, content)
        lines = []
        for place, row in zip(new.places, rounded(new.rows, self.frame), strict=True):
            new_words = (as_word(value) for value in row)
            beside = [] if _is_polygon(old[place]) else old[place][5:]
            lines.append(" ".join([old[place][0], *new_words, *beside]))
        return "".join(f"{line}\n" for line in lines).encode()

    def _numbers(self, content: bytes) -> Any:
        lines = yolo_lines(self.member, content)
        if not lines:
            return np.empty((0, 5))
        if self.takes_points:
            lines = [_around(line) if _is_polygon(line) else line for line in lines]
        try:
            numbers = np.array([[float(word) for word in line] for line in lines])
        except ValueError:  # words, or lines of different lengths
            numbers = None
        if numbers is None or numbers.shape[1] not in (5, 6):
            polygons = (
                ", nor boxes around polygons without format='xyxy'" if any(map(_is_polygon, lines)) else ""
            )
            raise MemberError(
                f"{self.name} is not lines of class, x, y, width and height{polygons}: {shown(content)}"
            )
        return numbers


def _is_polygon(line: Sequence[str]) -> bool:
    return len(line) >= 7 and len(line) % 2 == 1


def _around(line: Sequence[str]) -> list[str]:
    """Return the line of the box around a polygon."""
    x, y = line[1::2], line[2::2]
    sides = (pick(words, key=float) for pick, words in ((min, x), (min, y), (max, x), (max, y)))
    return [line[0], *sides]
