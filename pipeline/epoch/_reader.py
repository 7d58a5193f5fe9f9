"""From a slot in a batch to the encoded sample that fills it: the one that belongs there, or a substitute."""

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from foveal.pipeline.decoding import DecodeError, EncodedImage, peek
from foveal.pipeline.epoch._budget import Budget
from foveal.pipeline.epoch._loader_options import LoaderOptions
from foveal.pipeline.faults import BadSample, EpochBadSamples, FaultKind, TooManyBadSamplesError
from foveal.pipeline.fields import Fields, Located, MemberError, digest_of
from foveal.shards import EpochOrder, Sample, SampleError, Shards

# If this many samples in a row are bad, no substitute is searched for any more.
_TRIES = 100

# Number of members of a sample that a message names.
_NAMED = 4


@dataclass(frozen=True, slots=True)
class EpochSlot:
    """A slot of an epoch, to be filled with one sample.

    Attributes:
        position: Its position in the order of the epoch. Slots that only fill up the last batch have positions beyond the order.
        tries: How many samples that were tried for it turned out bad.
        first: The first of these; None if there were none.
    """

    position: int
    tries: int = 0
    first: BadSample | None = None

    def after(self, bad: BadSample) -> "EpochSlot":
        """Return the slot once one more sample has turned out bad."""
        return EpochSlot(self.position, self.tries + 1, self.first or bad)


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """A sample on its way to the decoder.

    Attributes:
        key: Its key.
        url: Its shard.
        image: Its image, still encoded.
        labels: Its plain fields.
        located: Its labels that are warped, in the frame of the original.
        members: The members that were read, as in the shard; None if they are not needed.
        size: Number of bytes that were read.
        valid: Whether it counts; False if it only fills up the last batch, or stands in for a bad sample.
        slot: The slot of the epoch that it fills.
        ordinal: Its number among the samples.
        number_in_shard: Its number among those of its shard.
    """

    key: str
    url: str
    image: EncodedImage
    labels: dict[str, Any]
    located: Located
    members: dict[str, bytes] | None
    size: int
    valid: bool
    slot: EpochSlot
    ordinal: int
    number_in_shard: int


class SampleReader:
    """Reads the samples of an epoch. Any number of threads may use it.

    Args:
        shards: The shards of the samples.
        order: The order of the epoch.
        fields: The fields to read of each sample.
        bad: Records bad samples, and decides what to do about them.
        options: The loader's options.
        plan_decoding: Chooses the decoder and the scale of an image, given its sample's number; None for DALI at full scale.
        budget: Memory that the images may take, each and together.
        number: The number of the order, from which substitutes for bad samples are also drawn.
    """

    def __init__(
        self,
        shards: Shards,
        order: EpochOrder,
        fields: Fields,
        bad: EpochBadSamples,
        options: LoaderOptions,
        *,
        plan_decoding: Callable[[EncodedImage, int], EncodedImage] | None,
        budget: Budget,
        number: int,
    ) -> None:
        self._shards = shards
        self._order = order
        self._fields = fields
        self._bad = bad
        self._options = options
        self._plan_decoding = plan_decoding
        self._budget = budget
        self._seed = (options.seed, number)

    def take(self, position: int) -> EncodedSample | None:
        """Return the sample of a position, or a substitute; None if it is left out.

        Raises:
            ShardError: The sample is bad and ``on_bad`` is ``"raise"``; or its shard cannot be read.
            TooManyBadSamplesError: Too many samples are bad, or no substitute was found.
        """
        return self._fill(EpochSlot(position))

    def instead_of(self, encoded: EncodedSample, fault: DecodeError | MemberError) -> EncodedSample | None:
        """Return a substitute for a sample that turned out bad after it was read."""
        bad = self._record(encoded, fault)
        return None if self._bad.on_bad == "drop" else self._fill(encoded.slot.after(bad))

    def _fill(self, slot: EpochSlot) -> EncodedSample | None:
        while slot.tries < _TRIES:
            tried = self._try(slot)
            if isinstance(tried, EncodedSample):
                return tried
            if self._bad.on_bad == "drop":
                return None
            slot = slot.after(tried)
        raise TooManyBadSamplesError(
            f"{_TRIES} samples in a row are bad, so no substitute was found: the first is {slot.first}",
            self._bad.advice([] if slot.first is None else [slot.first]),
            "look at loader.bad_samples, which has all",
        )

    def _try(self, slot: EpochSlot) -> EncodedSample | BadSample:
        ordinal = self._ordinal(slot)
        try:
            # A storage failure is not a bad sample, so it is raised.
            sample = self._shards.read(ordinal, self._fields.members)
        except SampleError as error:
            return self._record_unreadable(error)
        content = functools.partial(self._fields.digest, members=sample.members)
        known = self._bad.known.readable(sample.url, sample.key, sample.number_in_shard, content)
        if known is not None:
            return known
        try:
            return self._encoded(sample, slot, ordinal)
        except MemberError as error:
            return self._record(sample, self._explained(error, sample, ordinal))
        except DecodeError as error:
            return self._record(sample, error)

    def _explained(self, error: MemberError, sample: Sample, ordinal: int) -> MemberError:
        """Return a hint about a missing member: where it is, if it is only not next to its sample, or else which members there are."""
        if not error.missing:
            return error
        elsewhere = self._shards.elsewhere(ordinal, error.missing)
        if elsewhere is None:
            there = _listed(self._shards.extensions(ordinal), error.missing)
            return MemberError(f"{error}, only {there}", error.kind, field=error.field)
        beside = ".".join([sample.key, *list(sample.members)[:1]])
        reason = (
            f"member is apart from its sample: there is no {' or '.join(error.missing)} beside {beside}, but {elsewhere} "
            "elsewhere in the tar – members of a sample must stand side by side under one name up to the first dot: rename "
            "them if need be, and pack with tar --sort=name"
        )
        return MemberError(reason, error.kind, field=error.field)

    def _record_unreadable(self, error: SampleError) -> BadSample:
        known = self._bad.known.unreadable(error.url, error.sample_key, error.number_in_shard)
        if known is not None:
            return known
        field = self._fields.field_with(error.member)
        kind: FaultKind = "unreadable_member"
        bad = BadSample(error.url, error.sample_key, error.reason, kind, field, error.number_in_shard)
        self._bad.add(bad)
        return bad

    def _record(self, sample: Sample | EncodedSample, fault: DecodeError | MemberError) -> BadSample:
        field = self._fields.image_name if isinstance(fault, DecodeError) else fault.field
        digest = self._digest(sample, field)
        bad = BadSample(sample.url, sample.key, str(fault), fault.kind, field, sample.number_in_shard, digest)
        self._bad.add(bad)
        return bad

    def _digest(self, sample: Sample | EncodedSample, field: str) -> str:
        if isinstance(sample, Sample):
            return self._fields.digest(field, sample.members)
        if field == self._fields.image_name:
            return digest_of([sample.image.file])
        # A label that does not fit its image: most samples need not keep their members until this is known.
        return self._fields.digest(field, self._shards.read(sample.ordinal, self._fields.members).members)

    def _encoded(self, sample: Sample, slot: EpochSlot, ordinal: int) -> EncodedSample:
        file = self._fields.encoded_image(sample.members)
        image = peek(file, max_pixels=self._options.max_pixels, rule=self._options.rule)
        if self._plan_decoding is not None:
            image = self._plan_decoding(image, ordinal)
        self._budget.check(image)
        return EncodedSample(
            sample.key,
            sample.url,
            image,
            self._fields.labels(sample.members),
            self._fields.located(sample.members, max_pixels=self._options.max_pixels),
            sample.members if self._fields.members is None else None,
            sum(map(len, sample.members.values())),
            valid=slot.tries == 0 and slot.position < len(self._order),
            slot=slot,
            ordinal=ordinal,
            number_in_shard=sample.number_in_shard,
        )

    def _ordinal(self, slot: EpochSlot) -> int:
        """Return which sample is tried for a slot: its own first, then others, the same on every run."""
        if slot.tries == 0:
            return self._order[slot.position % len(self._order)]
        choice = random.Random(f"{self._seed} {slot.position} {slot.tries}")  # noqa: S311 - no secret
        return choice.randrange(len(self._order))


def _listed(there: Sequence[str], missing: Sequence[str]) -> str:
    """Return a sample's members in words; of many only those that a missing one may be a slip for, and how many more there are."""
    if len(there) <= _NAMED:
        return " and ".join(there)
    near = sorted(there, key=lambda ext: -max(SequenceMatcher(None, each, ext).ratio() for each in missing))
    return " and ".join((*near[:_NAMED], f"{len(there) - _NAMED} more"))
