"""Records bad samples, and counts them against a limit."""

import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

from foveal.pipeline.decoding import Avoidable
from foveal.pipeline.faults._bad_sample import BadSample
from foveal.pipeline.faults._known_samples import KnownSamples
from foveal.pipeline.faults._quarantine import Quarantine
from foveal.pipeline.faults._verify_command import verify_command
from foveal.shards import DataError, ShardError

OnBad = Literal["substitute", "drop", "raise"]
"""What to do with a sample that cannot be used, as :class:`ZoomLoader` takes it."""

# Kinds of faults that other settings may avoid: such an image is tried again, for which its header
# mostly suffices.
_MAY_PASS = frozenset(get_args(Avoidable))


class TooManyBadSamplesError(DataError, RuntimeError):
    """More samples are bad than ``max_bad_fraction`` allows, or there is no substitute for them.

    Args:
        facts: What is wrong.
        advice: What to do about it.
        setting: What to do by a setting of the loader, for those who can reach it.
    """

    def __init__(self, facts: str, advice: str = "", setting: str = "") -> None:
        super().__init__(facts, advice, setting)
        self._facts, self._advice, self._setting = facts, advice, setting

    def __str__(self) -> str:
        return self._told(self._advice, self._setting)

    @property
    def without_settings(self) -> str:
        """The message for those who have no such setting, such as users of the command line."""
        return self._told(self._advice)

    def _told(self, *advice: str) -> str:
        told = ", or ".join(filter(None, advice))
        return f"{self._facts} – {told}." if told else self._facts


class BadSamples:
    """The bad samples that a loader has found. Any of its threads may add to them.

    Args:
        on_bad: What the loader does about them.
        max_fraction: The largest share of an epoch's samples on this rank that may turn out bad.
        quarantine: The file that they are kept in, if any.
        asked: The members that may hold each field that the loader reads, by the field's name, the image first. Entries of a file
            about other fields are ignored.

    Raises:
        ValueError: An argument is invalid; the message has its value.
    """

    def __init__(
        self,
        on_bad: OnBad,
        max_fraction: float,
        quarantine: str | os.PathLike[str] | None,
        *,
        asked: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if on_bad not in get_args(OnBad):
            raise ValueError(f"on_bad must be one of {', '.join(get_args(OnBad))}, got {on_bad!r}.")
        if not 0 <= max_fraction <= 1:
            raise ValueError(f"max_bad_fraction must be in [0, 1], got {max_fraction!r}.")
        self.on_bad = on_bad
        self._max_fraction = max_fraction
        self._quarantine = None if quarantine is None else Quarantine(quarantine)
        self.asked = asked
        self._met: dict[tuple[str, str, int], BadSample] = {}
        self._known, self._may_pass = KnownSamples(), KnownSamples()
        self._lock = threading.Lock()

    def begin_epoch(self, samples: int, urls: Sequence[str]) -> "EpochBadSamples":
        """Read what other processes have found, and return the counter of bad samples for an epoch of this many samples of these shards."""
        with self._lock:
            self._known.reads(urls)
            self._may_pass.reads(urls)
            if self._quarantine is not None:
                self._learn(self._quarantine.read())
        return EpochBadSamples(self, samples, self._max_fraction)

    def _learn(self, listed: list[BadSample]) -> None:
        for bad in listed:
            if not bad.field or bad.field in self.asked:
                (self._may_pass if bad.kind in _MAY_PASS else self._known).add(bad)

    def all(self) -> list[BadSample]:
        """Return the bad samples, each once, in the order in which they were found."""
        with self._lock:
            return list(self._met.values())

    @property
    def known(self) -> KnownSamples:
        """What is known to be wrong, and is not to be tried."""
        return self._known

    def add(self, bad: BadSample) -> bool:
        """Record a sample; return whether it was not known before."""
        with self._lock:
            if bad in self._known:  # found twice at the same time, in its own slot and as a substitute
                return False
            if bad in self._may_pass:  # the file already had it, and nothing has changed
                self._known.add(bad)
                return False
            self._met.setdefault((bad.url, bad.key, bad.number_in_shard), bad)
            if self._quarantine is not None:
                self._quarantine.add([bad])  # first: what cannot be listed is not known, and is tried again
            # If there is no file from which it can be removed, a sample that was raised is raised again.
            if self._quarantine is not None or self.on_bad != "raise":
                self._known.add(bad)
            return True


class EpochBadSamples:
    """The bad samples that one pass over an epoch found and that were not known before. Any of its threads may add to them.

    Args:
        of_loader: The bad samples of the loader.
        samples: Number of samples of the epoch on this rank.
        max_fraction: The share of them that may turn out bad.
    """

    def __init__(self, of_loader: BadSamples, samples: int, max_fraction: float) -> None:
        self.on_bad = of_loader.on_bad
        self.known = of_loader.known
        self._of_loader = of_loader
        self._samples = samples
        self._max_fraction = max_fraction
        self._new: list[BadSample] = []
        self._lock = threading.Lock()

    def all(self) -> list[BadSample]:
        """Return them in the order in which they were found."""
        with self._lock:
            return list(self._new)

    def add(self, bad: BadSample) -> None:
        """Record a sample.

        Raises:
            ShardError: ``on_bad="raise"``.
            TooManyBadSamplesError: There are now too many.
        """
        with self._lock:
            if not self._of_loader.add(bad):
                return
            self._new.append(bad)
            if self.on_bad == "raise":
                raise ShardError(bad.url, bad.key, bad.reason)
            if len(self._new) > self._max_fraction * self._samples:
                raise TooManyBadSamplesError(
                    self._too_many(), self.advice(self._new), "raise max_bad_fraction"
                )

    def advice(self, bad: Iterable[BadSample]) -> str:
        """Return how samples like these are found before a training, for :class:`TooManyBadSamplesError`."""
        command = verify_command(bad, self._of_loader.asked)
        return "" if command is None else f"run `{command}` on the shards"

    def _too_many(self) -> str:
        counts = Counter(bad.fault for bad in self._new)
        faults = ", ".join(f"{count} × {fault!r}" for fault, count in counts.most_common())
        return (
            f"{len(self._new)} of this epoch's {self._samples} samples are bad, more than "
            f"max_bad_fraction={self._max_fraction} allows: {faults}; the last is {self._new[-1]}"
        )
