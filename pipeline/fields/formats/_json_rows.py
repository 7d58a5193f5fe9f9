"""Boxes at one location of a JSON document: a list of rows, or a single row."""

from collections.abc import Sequence
from typing import Any

from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields.formats._box_file import BoxFile, BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName, columns_beside
from foveal.pipeline.fields.formats._decimals import rounded
from foveal.pipeline.fields.formats._json_document import JsonDocument, Slot
from foveal.pipeline.fields.formats._numbers import box_row, box_rows, with_box


class JsonRows(BoxFile):
    """``{"boxes": [[...], [...]], "labels": [3, 1]}``: labels are other lists of the same dict."""

    __slots__ = ()

    def read(self, content: bytes, labels: Sequence[LabelName]) -> BoxTable:
        """Return the boxes; there are none for null, or if there is no such entry."""
        document = JsonDocument(self.member, content)
        [slot] = document.slots(self.path)
        rows = box_rows(self._entries(slot), points=self.takes_points)
        if rows is None:
            raise MemberError(f"{self.name} is not (n, 4) numbers: {shown(slot.value)}")
        beside: dict[LabelName, list[Any]] = {
            name: self._beside(slot, name, len(rows)) for name in labels if isinstance(name, str)
        }
        return BoxTable(
            rows[:, :4], beside | columns_beside(self.name, rows, labels, self.format), document.stated_size()
        )

    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return the document with other boxes; an entry ``boxes_kept`` beside ``boxes`` has their numbers among the old ones."""
        document = JsonDocument(self.member, content)
        [slot] = document.slots(self.path)
        if slot.value is not None:
            self._replace(document, slot, new)
        document.restate_size(new.size, self.path)
        return document.encode()

    def _replace(self, document: JsonDocument, slot: Slot, new: NewBoxes) -> None:
        old = self._entries(slot)
        boxes = [
            with_box(old[k], row) for k, row in zip(new.places, rounded(new.rows, self.frame), strict=True)
        ]
        document.put(slot, boxes[0] if boxes and old[0] is slot.value else boxes)
        if self.path:
            slot.holder[f"{slot.key}_kept"] = list(new.places)
        for name in new.labels:
            if isinstance(name, str):
                slot.holder[name] = [slot.holder[name][k] for k in new.places]

    def has_boxes(self, content: bytes) -> bool:
        """Return whether the document has such an entry."""
        return JsonDocument(self.member, content).has(self.path)

    def _entries(self, slot: Slot) -> list[Any]:
        """Return the boxes one by one. In a list of nothing but nulls, each is a box that is absent."""
        value = slot.value
        if value is None:
            return []
        if isinstance(value, list) and all(each is None for each in value):
            return value
        if box_row(value, points=self.takes_points) is not None:
            return [value]
        if not isinstance(value, list):
            raise MemberError(f"{self.name} is not (n, 4) numbers: {shown(value)}")
        return value

    def _beside(self, slot: Slot, name: str, count: int) -> list[Any]:
        found = slot.beside(name)
        if found is None and not count:
            return []
        if not isinstance(found, list) or len(found) != count:
            raise MemberError(
                f"{self.member} {name} is not one entry for each of the boxes: {count} and {shown(found)}"
            )
        return found
