"""Boxes in a JSON document: several fields may have theirs in one, and are written to it together."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from foveal.pipeline.fields.formats._box_file import BoxFile, NewBoxes
from foveal.pipeline.fields.formats._json_document import JsonDocument
from foveal.pipeline.fields.formats._json_entries import Entries, remove_entries


class JsonBoxes(BoxFile):
    """A JSON member that has boxes."""

    __slots__ = ()

    @abstractmethod
    def put(self, document: JsonDocument, new: NewBoxes) -> Iterable[Entries]:
        """Replace the boxes where they are, those that are gone by null, and return which entries hold them.

        No entry is removed yet, because the places of other boxes count them.
        """

    def write(self, content: bytes, new: NewBoxes) -> bytes:
        """Return the document with other boxes; an entry is removed if its box is."""
        return write_together(content, [(self, new)])

    def has_boxes(self, content: bytes) -> bool:
        """Return whether the document has such an entry: an empty list of boxes, or something in one of the items."""
        return JsonDocument(self.member, content).has(self.path)


def write_together(content: bytes, new: Sequence[tuple[JsonBoxes, NewBoxes]]) -> bytes:
    """Return a document with the boxes of several places in it replaced.

    An entry that has boxes is removed if none of them is left; in an entry that stays, boxes that are gone become null.
    """
    document = JsonDocument(new[0][0].member, content)
    asked = [entries for file, boxes in new for entries in file.put(document, boxes)]
    remove_entries(asked)
    for file, boxes in new:
        document.restate_size(boxes.size, file.path)
    return document.encode()
