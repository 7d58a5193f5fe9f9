"""Boxes at one location of a JSON document: a list of rows, or a single row."""

from collections.abc import Iterable, Sequence
from typing import Any

from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields.formats._box_file import BoxTable, NewBoxes
from foveal.pipeline.fields.formats._columns import LabelName, columns_beside
from foveal.pipeline.fields.formats._decimals import rounded
from foveal.pipeline.fields.formats._json_boxes import JsonBoxes
from foveal.pipeline.fields.formats._json_document import JsonDocument, Slot
from foveal.pipeline.fields.formats._json_entries import Entries
from foveal.pipeline.fields.formats._numbers import box_row, box_rows, with_box


class JsonRows(JsonBoxes):
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

    def put(self, document: JsonDocument, new: NewBoxes) -> Iterable[Entries]:
        """Replace the boxes; an entry ``boxes_kept`` beside ``boxes`` has the numbers of the rows that stay among the old ones."""
        [slot] = document.slots(self.path)
        if slot.value is None:
            return
        old = self._entries(slot)
        boxes: list[Any] = [None] * len(old)
        for k, row in zip(new.places, rounded(new.rows, self.frame), strict=True):
            boxes[k] = with_box(old[k], row)
        single = boxes != [None] and len(old) == 1 and old[0] is slot.value
        document.put(slot, boxes[0] if single else boxes)
        beside = [slot.beside(name) for name in new.labels if isinstance(name, str)]
        if self.path:
            slot.holder[f"{slot.key}_kept"] = numbers = list(range(len(old)))
            beside.append(numbers)
        lists = [boxes, *(each for each in beside if each is not None)]
        yield Entries(lists, set(new.places), set(range(len(old))))

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
