"""Leaves the bad images of a user's shards out of a benchmark, for all rows of its table, and says how many there are."""

from collections.abc import Sequence

from rich.console import Console

from foveal.shards import SampleError, Shards
from foveal.tools.pictures.originals import read_originals


def readable(shards: Shards, ordinals: Sequence[int], console: Console) -> list[int]:
    """Decode these samples' images, and return those that can be decoded; print how many the others are.

    Raises:
        ValueError: There is no image that can be decoded.
    """
    faults = [_fault(shards, ordinal) for ordinal in ordinals]
    good = [ordinal for ordinal, fault in zip(ordinals, faults, strict=True) if fault is None]
    say_left_out([fault for fault in faults if fault is not None], len(ordinals), console)
    return good


def say_left_out(faults: Sequence[str], samples: int, console: Console) -> None:
    """Print how many samples have faults, and the first of these.

    Raises:
        ValueError: All have, or there are no samples.
    """
    if len(faults) == samples:
        first = f", the first: {faults[0].removesuffix('.')}" if faults else ""
        raise ValueError(
            f"urls must hold at least one good image, got {samples} bad ones{first} – run `foveal verify` on the shards."
        )
    if faults:
        console.print(
            f"Left out for all: {len(faults)} of {samples} samples, which are bad; the first: {faults[0]}",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )


def _fault(shards: Shards, ordinal: int) -> str | None:
    try:
        read_originals(shards, [ordinal])
    except SampleError as error:
        return str(error)
    return None
