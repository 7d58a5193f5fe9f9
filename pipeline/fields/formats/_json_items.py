"""Boxes in the items of a JSON list: COCO, SA-1B, LabelMe."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields.formats._box_file import BoxFile, BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName, columns_beside
from foveal.pipeline.fields.formats._decimals import rounded
from foveal.pipeline.fields.formats._json_document import JsonDocument, Slot
from foveal.pipeline.fields.formats._numbers import box_rows, numbers, with_box

SHAPE = "shape_type"
"""LabelMe's entry for the kind of a shape."""

LINES = ("point", "points", "line", "linestrip")
"""Kinds of shapes without an area."""


class JsonItems(BoxFile):
    """``{"annotations": [{"bbox": [...], "category_id": 3}, ...]}``: labels are other entries of a box's item.

    In LabelMe's circles, two points are the centre and a point on the circle.
    """

    __slots__ = ()

    def read(self, content: bytes, labels: Sequence[LabelName]) -> BoxTable:
        """Return a box for each item; it is absent in items without one."""
        document = JsonDocument(self.member, content)
        slots = document.slots(self.path)
        rows = self._rows(slots)
        beside: dict[LabelName, list[Any]] = {
            name: [slot.beside(name) for slot in slots] for name in labels if isinstance(name, str)
        }
        return BoxTable(
            rows[:, :4], beside | columns_beside(self.name, rows, labels, self.format), document.stated_size()
        )

    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return the document with other boxes; an item is removed if its box is."""
        document = JsonDocument(self.member, content)
        slots = document.slots(self.path)
        present = ~np.isnan(self._rows(slots)[:, :4]).all(axis=1)
        stays = dict(zip(new.places, rounded(new.rows, self.frame), strict=True))
        for k, row in stays.items():
            document.put(slots[k], with_box(slots[k].value, row))
            if slots[k].beside(SHAPE):
                slots[k].holder[SHAPE] = "rectangle"
        document.remove_items([slot for k, slot in enumerate(slots) if present[k] and k not in stays])
        document.restate_size(new.size, self.path)
        return document.encode()

    def has_boxes(self, content: bytes) -> bool:
        """Return whether the document has such a list, and an entry in one of its items."""
        return JsonDocument(self.member, content).has(self.path)

    def _rows(self, slots: Sequence[Slot]) -> Any:
        values = [_outline(slot) for slot in slots]
        rows = box_rows(values, points=self.takes_points)
        if rows is None:
            raise MemberError(f"{self.name} is not 4 numbers in each item: {shown(values)}")
        return rows


def _outline(slot: Slot) -> Any:
    """Return the points around which the box lies: two corners for LabelMe's circles, none for its lines."""
    kind = slot.beside(SHAPE)
    if kind in LINES:
        return None
    if kind == "circle":
        ends = numbers(slot.value)
        if ends is not None and ends.shape == (2, 2):
            radius = np.hypot(*(ends[1] - ends[0]))
            return [(ends[0] - radius).tolist(), (ends[0] + radius).tolist()]
    return slot.value
