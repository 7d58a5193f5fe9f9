"""Boxes in a NumPy array."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.pipeline.fields._members import MemberError, encode_array, parse_content
from foveal.pipeline.fields.formats._box_file import BoxFile, BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName, columns_beside
from foveal.pipeline.fields.formats._numbers import numbers


class NpyBoxes(BoxFile):
    """An array (n, c) of at least four columns, or one box (c,)."""

    __slots__ = ()

    def read(self, content: bytes, labels: Sequence[LabelName]) -> BoxTable:
        """Return the boxes."""
        rows = self._rows(content)
        return BoxTable(rows[:, :4], columns_beside(self.name, rows, labels, self.format))

    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return an array of other boxes, float32, with the further columns of the same old boxes."""
        old = self._rows(content)[list(new.places)]
        return encode_array(np.concatenate([new.rows, old[:, 4:]], axis=1).astype(np.float32))

    def _rows(self, content: bytes) -> Any:
        array = parse_content(self.member, content)
        rows = numbers(array)
        if rows is not None and rows.shape == (0,):
            return np.empty((0, 4))
        if rows is not None and rows.ndim == 1:
            rows = rows[None]
        if rows is None or rows.ndim != 2 or rows.shape[1] < 4:
            raise MemberError(f"{self.name} is not (n, 4) numbers: {array.dtype} of shape {array.shape}")
        return rows
