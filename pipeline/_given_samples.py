"""Samples as data sets give them: tuples, dicts, and those of shards."""

from collections.abc import Mapping, Sequence
from typing import Any

from foveal.pipeline.fields import MemberError, parse_member
from foveal.shards import Sample


def entries_of(samples: Sequence[Any]) -> list[Mapping[Any, Any]]:
    """Return samples as dicts: tuples by position, those of :class:`foveal.shards.Shards` by extension, parsed.

    Raises:
        TypeError: A sample is of another kind.
        ValueError: There are no samples, they have not all the same entries, or a member of a shard does not hold what its
            name says.
    """
    if not samples:
        raise ValueError(f"samples must be at least one, got {samples!r}.")
    entries = [_entry(sample, place) for place, sample in enumerate(samples)]
    _check_alike(entries)
    return entries


def _entry(sample: Any, place: int) -> Mapping[Any, Any]:
    if isinstance(sample, Mapping):
        return sample
    if isinstance(sample, tuple | list):
        return dict(enumerate(sample))
    if isinstance(sample, Sample):
        return _parsed(sample, place)
    raise TypeError(
        f"samples[{place}] must be a tuple, a dict or a Sample of Shards, got {type(sample).__name__} – return (image,) for an "
        "image alone."
    )


def _parsed(sample: Sample, place: int) -> dict[str, Any]:
    try:
        members = {name: parse_member(name, sample.members) for name in sample.members}
    except MemberError as error:
        raise ValueError(
            f"samples[{place}] must hold what the names of its members say, got {sample.key!r} of {sample.url!r}, whose {error}."
        ) from error
    return {"__key__": sample.key, "__url__": sample.url, **members}


def _check_alike(entries: Sequence[Mapping[Any, Any]]) -> None:
    for place, entry in enumerate(entries):
        if entry.keys() != entries[0].keys():
            raise ValueError(
                f"samples[{place}] must have the entries of the first, {list(entries[0])!r}, got {list(entry)!r} – "
                "give them common names, as webdataset's rename does."
            )
