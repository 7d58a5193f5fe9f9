"""A JSON document, and paths into it: ``annotations[].bbox`` is the entry ``bbox`` of each item of ``annotations``."""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from foveal.pipeline.fields._members import MemberError, parse_content, shown

_ENTRY = re.compile(r"([^.:\[\]]*)((?:\[\])*)")
_EACH = "[]"
# Where labelling tools state the size of the image: LabelMe, SA-1B, COCO (of one image, in a list).
_SIZES = (
    ((), "imageHeight", "imageWidth"),
    (("image",), "height", "width"),
    (("images",), "height", "width"),
)
# Where COCO's description of an image has it, if the labels were put into it. Labels are not scaled by it: elsewhere these names mean others' sizes.
_BESIDE_LABELS = ((), "height", "width")


class Slot(NamedTuple):
    """A location in a document."""

    holder: Any
    """The dict or list that has it."""

    key: Any
    """The key or index in it: ``holder[key]``."""

    value: Any
    """The value there; None if there is none."""

    items: tuple[tuple[list[Any], int], ...]
    """The lists that the path went through, each with the number of the item in it, outermost first."""

    def beside(self, name: str) -> Any:
        """Return another entry of the dict that has this one, None if there is none."""
        return self.holder.get(name) if isinstance(self.holder, dict) else None


class JsonDocument:
    """A JSON member, to read from and to write to.

    Args:
        member: Its extension.
        content: The whole of it.

    Raises:
        MemberError: It is not JSON.
    """

    def __init__(self, member: str, content: bytes) -> None:
        self._member = member
        self._root = {"": parse_content(member, content)}

    def slots(self, path: str) -> list[Slot]:
        """Return the locations that a path leads to: one, or with ``[]`` one for each item; none if there is no such list.

        Raises:
            MemberError: The document does not have the structure of the path.
        """
        slots = [Slot(self._root, "", self._root[""], ())]
        for step in steps_of(path) or ():
            slots = [found for slot in slots for found in self._step(slot, step, path)]
        return slots

    def has(self, path: str) -> bool:
        """Return whether there is something at a path, even an empty list."""
        return _is_there(self._root[""], steps_of(path) or ())

    def put(self, slot: Slot, value: Any) -> None:
        """Write another value to a location."""
        slot.holder[slot.key] = value

    def stated_size(self) -> tuple[int, int] | None:
        """Return the (height, width) of the image that the document states; None if it states none."""
        for holder, height, width in self._sizes(_SIZES):
            return int(holder[height]), int(holder[width])
        return None

    def restate_size(self, size: tuple[int, int], path: str) -> None:
        """Change the (height, width) that the document states, if it states one; an embedded image is removed, because it is the original.

        Args:
            size: The new size.
            path: Where the labels are. If it is empty, the document itself may be a label that has a height and width.
        """
        for holder, height, width in self._sizes((*_SIZES, _BESIDE_LABELS) if path else _SIZES):
            holder[height], holder[width] = size
        document = self._root[""]
        if isinstance(document, dict) and "imageHeight" in document and document.get("imageData"):
            document["imageData"] = None

    def encode(self) -> bytes:
        """Return the content of the member."""
        return json.dumps(self._root[""]).encode()

    def _sizes(
        self, places: Sequence[tuple[Sequence[str], str, str]]
    ) -> list[tuple[dict[str, Any], str, str]]:
        found = []
        for way, height, width in places:
            holder = self._root[""]
            for name in way:
                holder = _only(holder.get(name)) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and all(_is_length(holder.get(side)) for side in (height, width)):
                found.append((holder, height, width))
        return found

    def _step(self, slot: Slot, step: str, path: str) -> list[Slot]:
        value = slot.value
        match step, value:
            case "[]", None:
                return []
            case "[]", list():
                return [Slot(value, k, each, (*slot.items, (value, k))) for k, each in enumerate(value)]
            case "[]", _:
                fault = f"has no list for {path}"
            case _, None | dict() | []:
                return [Slot(value, step, value.get(step) if isinstance(value, dict) else None, slot.items)]
            case _, list():
                fault = f"has a list on the way to {path}, and [] must follow its name"
            case _:
                fault = f"has no {path}"
        raise MemberError(f"{self._member} {fault}: {shown(self._root[''])}")


def steps_of(path: str) -> tuple[str, ...] | None:
    """Return the steps of a path, names and ``"[]"``; None if it is not a path."""
    steps: list[str] = []
    for entry in path.split(".") if path else ():
        match = _ENTRY.fullmatch(entry)
        if match is None or not entry:
            return None
        steps += [match[1]] if match[1] else []
        steps += [_EACH] * (len(match[2]) // 2)
    return tuple(steps)


def goes_through_lists(path: str) -> bool:
    """Return whether a path goes through a list."""
    return _EACH in path


def _is_there(value: Any, steps: tuple[str, ...]) -> bool:
    if not steps:
        return value is not None
    step, rest = steps[0], steps[1:]
    if step == _EACH:
        return isinstance(value, list) and (not value or any(_is_there(each, rest) for each in value))
    return isinstance(value, dict) and _is_there(value.get(step), rest)


def _only(value: Any) -> Any:
    """Return the item of a list of one; of several images none is known to be this one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
