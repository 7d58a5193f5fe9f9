"""Reads all labels before a training begins, because an invalid label would otherwise stop it hours later."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from foveal.pipeline.fields import MemberError, parse_member
from foveal.pipeline.flow import in_threads
from foveal.shards import SampleError, ShardError, Shards
from foveal.shards.naming import is_remote

Urls = str | Sequence[str]
_REMOTE_READS = 32  # labels that are read at the same time if each waits for a server
_NUMBERS = "`foveal pack` numbers the classes of a folder, and ShardWriter writes other numbers"
_EMPTY = "has no samples – name shards that hold some"
# More classes than samples are a mistake where there are more than this: a classifier for them would take long, and learn nothing.
_MANY = 1000


class Labelled(NamedTuple):
    """A sample that has a label."""

    url: str
    key: str
    label: int


def read_labels(urls: Urls) -> list[int]:
    """Return the labels of all shards in their order; images are not read.

    Samples without a valid label are left out here: the loader finds and reports them.

    Raises:
        ShardError: A label is below zero, or no sample has one.
    """
    return [sample.label for sample in _labelled(urls)]


def count_classes(
    urls: Urls,
    val: Urls,
    classes: int | None,
    *,
    storage_options: Mapping[str, Any] | None = None,
    cache_size: int | str | None = None,
) -> int:
    """Return the number of classes, after reading every label.

    Args:
        urls: Shards to train on.
        val: Shards to validate on, perhaps none.
        classes: How many classes there are; None to find out from the labels to train on.
        storage_options: For remote shards.
        cache_size: Room for copies of them.

    Raises:
        ShardError: A label is below zero or not below the number of classes, or no sample to train on has one; or labels are far larger
            than there are samples, or all the same.
    """
    train = _labelled(urls, storage_options, cache_size)
    known = _known(train) if classes is None else classes
    _check("to train on", train, known)
    if val:
        _check("to validate on", _labelled(val, storage_options, cache_size), known)
    return known


def _known(samples: Sequence[Labelled]) -> int:
    url, key, largest = max(samples, key=lambda sample: sample.label)
    limit = max(_MANY, len(samples))
    if largest >= limit:
        different = len({sample.label for sample in samples})
        raise ShardError(
            url,
            key,
            f"cls must be below {limit} for {len(samples)} samples unless --classes says how many classes there are, got {largest} "
            f"and {different - 1} other labels – number them from 0, as `foveal pack` does",
        )
    if all(sample.label == largest for sample in samples):
        raise ShardError(
            url,
            key,
            f"cls must have more than one value unless --classes says how many classes there are, got {largest} in all "
            f"{len(samples)} samples: nothing can be learned from one class – name a folder with a folder for each class, or shards of more "
            "classes",
        )
    return largest + 1


def _check(what_for: str, samples: Sequence[Labelled], classes: int) -> None:
    strange = [sample for sample in samples if sample.label >= classes]
    if strange:
        url, key, label = strange[0]
        raise ShardError(
            url,
            key,
            f"cls must be in [0, {classes}), got {label}: {len(strange)} of {len(samples)} labels {what_for} are not among the "
            f"classes that are trained – mend them, or name more --classes than {classes}",
        )


def _labelled(
    urls: Urls, storage_options: Mapping[str, Any] | None = None, cache_size: int | str | None = None
) -> list[Labelled]:
    with Shards(urls, storage_options=storage_options, cache_size=cache_size) as shards:
        read = list(_read(shards))
    found = [each for each in read if isinstance(each, Labelled)]
    if not found:
        reason = (
            f"cls must be a whole number from 0, got {read[0]}; no sample has one – {_NUMBERS}"
            if read
            else _EMPTY
        )
        raise ShardError(shards.urls[0], None, reason)
    negative = [sample for sample in found if sample.label < 0]
    if negative:
        url, key, label = negative[0]
        raise ShardError(
            url,
            key,
            f"cls must be a whole number from 0, got {label}: {len(negative)} of {len(found)} labels are below – mend them, or "
            "leave these samples out",
        )
    return found


def _read(shards: Shards) -> Iterator[Labelled | str]:
    """Yield each sample's label, or whatever is in its place."""

    def label_of(ordinal: int) -> Labelled | str:
        try:
            sample = shards.read(ordinal, ("cls",))
        except SampleError as error:
            return f"a sample that cannot be read ({error})"
        label = sample.members.get("cls")
        try:
            return Labelled(sample.url, sample.key, int(parse_member("cls", sample.members)))
        except MemberError:
            return f"{'no cls' if label is None else repr(label[:20])} in {sample.key}"

    at_once = _REMOTE_READS if any(map(is_remote, shards.urls)) else 1
    return in_threads(label_of, range(len(shards)), at_once)
