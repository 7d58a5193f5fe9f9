"""Entries of lists in a JSON document, removed together: items with several boxes, and lists that stand side by side."""

from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple


class Entries(NamedTuple):
    """What one field of boxes asks of some entries. Lists that are named together are filtered alike."""

    lists: list[list[Any]]
    """Lists of one length, whose entries of one number belong together."""

    stay: set[int]
    """Entries with a box that is left."""

    go: set[int]
    """Entries whose box is gone; they are removed unless another box in them is left."""


def remove_entries(asked: Iterable[Entries]) -> None:
    """Remove from lists, in place, the entries none of whose boxes is left."""
    for each in _joined(asked):
        gone = each.go - each.stay
        for entries in {id(one): one for one in each.lists}.values():
            entries[:] = [entry for number, entry in enumerate(entries) if number not in gone]


def _joined(asked: Iterable[Entries]) -> list[Entries]:
    """Join what is asked of the same lists."""
    found: dict[int, Entries] = {}
    for new in asked:
        met = {id(found[id(one)]): found[id(one)] for one in new.lists if id(one) in found}
        parts = [*met.values(), new]
        whole = Entries(
            list(chain.from_iterable(part.lists for part in parts)),
            set().union(*(part.stay for part in parts)),
            set().union(*(part.go for part in parts)),
        )
        found |= {id(one): whole for one in whole.lists}
    return list({id(each): each for each in found.values()}.values())
