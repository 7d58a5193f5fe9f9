"""Detects labels that no sample has: a mistyped path looks like images without labels, but all samples lack them."""

import threading
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress

from foveal._outside import outside
from foveal.pipeline.fields._members import MemberError, shown
from foveal.pipeline.fields._spatial_field import SpatialField

# If none of this many samples has a label, that is not by chance.
_ENOUGH = 100


class Absences:
    """Counts the samples without an entry for a label, until one has it. Any number of threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._missed: dict[SpatialField, tuple[int, str]] = {}
        self._found: set[SpatialField] = set()

    def note(self, field: SpatialField, members: Mapping[str, bytes]) -> None:
        """Count one more sample.

        Warns:
            UserWarning: It is the hundredth sample without this label, and none had it.
        """
        if field in self._found:
            return
        if not field.is_absent(members):
            with self._lock:
                self._found.add(field)
            return
        with self._lock:
            count = self._missed.get(field, (0, ""))[0] + 1
            self._missed[field] = count, _shown(field, members)
        if count == _ENOUGH:
            self._warn_of(field)

    def end_epoch(self) -> None:
        """Check at the end of a short epoch.

        Warns:
            UserWarning: None of its samples has some label.
        """
        missed = [field for field, (count, _) in self._missed.items() if count < _ENOUGH]
        for field in missed:
            if field not in self._found:
                self._warn_of(field)
        self._missed.clear()

    def _warn_of(self, field: SpatialField) -> None:
        count, last = self._missed[field]
        warnings.warn(
            f"{field.name} is absent in all of {count} samples, the last of which has {last}: is "
            f"{field.source!r} where the labels are?",
            UserWarning,
            stacklevel=outside(),
        )


def _shown(field: SpatialField, members: Mapping[str, bytes]) -> str:
    there = [extension for extension in field.extensions or () if extension in members]
    return f"{there[0]} {shown(members[there[0]])}" if there else f"the members {', '.join(members)}"


def warn_if_absent(field: SpatialField, samples: Iterable[Mapping[str, bytes]]) -> None:
    """Check the members of some samples.

    Warns:
        UserWarning: None of them has this label.
    """
    absences = Absences()
    for members in samples:
        with suppress(MemberError):  # a damaged member is reported when it is read
            absences.note(field, members)
    absences.end_epoch()
