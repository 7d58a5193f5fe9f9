"""Boxes in YOLO's text files: a line for each, ``class x y width height``, as fractions of the image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.pipeline.fields._members import MemberError, parse_content, shown
from foveal.pipeline.fields.formats._box_file import BoxFile, BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName, named_columns
from foveal.pipeline.fields.formats._decimals import as_word, rounded


class YoloBoxes(BoxFile):
    """Lines of five numbers, the class first, or of six with a confidence at the end. Column 0 is the class."""

    __slots__ = ()

    def read(self, content: bytes, labels: Sequence[LabelName]) -> BoxTable:
        """Return the boxes; of an empty file none."""
        numbers = self._numbers(content)
        return BoxTable(numbers[:, 1:5], named_columns(self.name, numbers, labels))

    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return the lines of the boxes that stay."""
        old = self._lines(content)
        lines = []
        for place, row in zip(new.places, rounded(new.rows, self.frame), strict=True):
            new_words = (as_word(value) for value in row)
            lines.append(" ".join([old[place][0], *new_words, *old[place][5:]]))
        return "".join(f"{line}\n" for line in lines).encode()

    def _lines(self, content: bytes) -> list[list[str]]:
        text: str = parse_content(self.member, content)
        return [words for line in text.splitlines() if (words := line.split())]

    def _numbers(self, content: bytes) -> Any:
        lines = self._lines(content)
        if not lines:
            return np.empty((0, 5))
        try:
            numbers = np.array([[float(word) for word in line] for line in lines])
        except ValueError:  # words, or lines of different lengths
            numbers = None
        if numbers is None or numbers.shape[1] not in (5, 6):
            raise MemberError(f"{self.name} is not lines of class, x, y, width and height: {shown(content)}")
        return numbers
