"""Polygons in YOLO's text files: a line for each, ``class x y x y x y ...``, as fractions of the image."""

from typing import Any

from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields.formats import yolo_lines
from foveal.pipeline.fields.masks._shapes import polygon_of


def yolo_polygons(member: str, content: bytes) -> list[tuple[int, Any]]:
    """Return the class and the corners (n, 2) of each line.

    Raises:
        MemberError: A line has something else, such as a box.
    """
    found = []
    for words in yolo_lines(member, content):
        values = _numbers(words)
        if values is None or len(values) < 7 or len(values) % 2 == 0 or not values[0].is_integer():
            raise MemberError(
                f"{member} is not lines of a class and at least three corners: {shown(' '.join(words))}"
            )
        found.append((int(values[0]), polygon_of(values[1:], member)))
    return found


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None
