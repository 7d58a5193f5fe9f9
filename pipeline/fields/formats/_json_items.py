"""Boxes in the items of a JSON list: COCO, SA-1B, LabelMe."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields.formats._box_file import BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName, columns_beside
from foveal.pipeline.fields.formats._decimals import rounded
from foveal.pipeline.fields.formats._json_boxes import JsonBoxes
from foveal.pipeline.fields.formats._json_document import JsonDocument, Slot
from foveal.pipeline.fields.formats._json_entries import Entries
from foveal.pipeline.fields.formats._numbers import box_rows, numbers, with_box

SHAPE = "shape_type"
"""LabelMe's entry for the kind of a shape."""

LINES = ("point", "points", "line", "linestrip")
"""Kinds of shapes without an area."""


class JsonItems(JsonBoxes):
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

    def put(self, document: JsonDocument, new: NewBoxes) -> Iterable[Entries]:
        """Replace the boxes; items without one stay."""
        slots = document.slots(self.path)
        present = ~np.isnan(self._rows(slots)[:, :4]).all(axis=1)
        stays = dict(zip(new.places, rounded(new.rows, self.frame), strict=True))
        for k, row in stays.items():
            document.put(slots[k], with_box(slots[k].value, row))
            if slots[k].beside(SHAPE):
                slots[k].holder[SHAPE] = "rectangle"
        gone = [slot for k, slot in enumerate(slots) if present[k] and k not in stays]
        for slot in gone:
            document.put(slot, None)
        return _entries([slots[k] for k in stays], gone)

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


def _entries(left: Sequence[Slot], gone: Sequence[Slot]) -> Iterable[Entries]:
    """Return the items of boxes. The items around the item of a box that is left stay, too."""
    found: dict[int, Entries] = {}
    for items, number in (item for slot in left for item in slot.items):
        found.setdefault(id(items), Entries([items], set(), set())).stay.add(number)
    for items, number in (slot.items[-1] for slot in gone):
        found.setdefault(id(items), Entries([items], set(), set())).go.add(number)
    return found.values()
