"""Bad samples by what they contain: a sample that was repaired is no longer known, one whose shard was moved still is."""

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from foveal.pipeline.faults._bad_sample import BadSample
from foveal.shards.naming import identity_of, is_remote, local_path


class KnownSamples:
    """Bad samples, which are found again by shard and key, and if they have a digest by their content.

    One that has a digest is also found in another shard, because its own may have been moved, unless that is among
    those that are read: keys may start anew in each shard, and empty files or equal error pages have equal digests.

    Args:
        samples: The first of them.
    """

    def __init__(self, samples: Iterable[BadSample] = ()) -> None:
        self._urls: Sequence[str] | None = None
        self._by_place: defaultdict[tuple[str, int], list[BadSample]] = defaultdict(list)
        for sample in samples:
            self.add(sample)

    def add(self, bad: BadSample) -> None:
        """Add a sample, unless it is known."""
        if bad not in self:
            self._by_place[bad.key, bad.number_in_shard].append(bad)

    def reads(self, urls: Sequence[str]) -> None:
        """Say which shards are read. Before that is said, no shard counts as moved."""
        if urls is not self._urls:
            self._urls = urls
            vars(self).pop("_places", None)

    def __contains__(self, bad: BadSample) -> bool:
        """Whether the same fault of the same sample is known."""
        alike = self._by_place.get((bad.key, bad.number_in_shard), ())
        return any(
            (each.kind, each.field) == (bad.kind, bad.field)
            and self._is_of(each, bad.url, lambda _: bad.digest)
            for each in alike
        )

    def readable(
        self, url: str, key: str, number_in_shard: int, digest: Callable[[str], str]
    ) -> BadSample | None:
        """Return what is known to be wrong with a sample that could be read; None if it is to be tried.

        Args:
            url: Its shard.
            key: Its key.
            number_in_shard: Its number in its shard.
            digest: Returns the hash of what a field of this name is read from.
        """
        for each in self._candidates(key, number_in_shard):
            if each.kind != "unreadable_member" and self._is_of(each, url, digest):
                return each
        return None

    def unreadable(self, url: str, key: str, number_in_shard: int) -> BadSample | None:
        """Return what is known to be wrong with a sample that could not be read; None if nothing is."""
        for each in self._candidates(key, number_in_shard):
            if each.kind == "unreadable_member" and _place(each.url) == _place(url):
                return each
        return None

    def _is_of(self, known: BadSample, url: str, digest: Callable[[str], str]) -> bool:
        """Return whether a known sample is the one with its key in a shard, given the hash of what each field is read from now."""
        if known.digest and known.digest != digest(known.field):
            return False
        return _place(known.url) == _place(url) or (bool(known.digest) and self._was_moved(known.url))

    def _was_moved(self, url: str) -> bool:
        return self._urls is not None and _place(url) not in self._places

    @functools.cached_property
    def _places(self) -> frozenset[str]:
        return frozenset(map(_place, self._urls or ()))

    def _candidates(self, key: str, number_in_shard: int) -> list[BadSample]:
        if not self._by_place:
            return []
        numbers = (number_in_shard, -1)
        return [bad for number in numbers for bad in self._by_place.get((key, number), ())]


def _place(url: str) -> str:
    """Return a URL without its signature, or the absolute path of a local shard, however it is spelled."""
    return identity_of(url) if is_remote(url) else str(Path(local_path(url)).resolve())
