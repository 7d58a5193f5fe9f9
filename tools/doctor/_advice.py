"""The advice of ``foveal doctor``. Each rule is a function of the measured facts, and states the expected gain."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from foveal._choices import MAX_ZOOM
from foveal.tools.bench.way import Way
from foveal.tools.doctor._facts import DECODE, DEFAULT, READ, Facts

_WORTH = 1.1  # times as fast: smaller gains cannot be told from noise
_FEW = 4  # processors
_SHOWN_ZOOM = 4  # magnifying more than four times is rarely useful
_MUCH_LARGER = 4  # times the pixels that such a zoom can show


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do.

    Attributes:
        do: What to do, with the argument or the command.
        gain: How many times as fast the loader will be, by these measurements; None if that is not known.
    """

    do: str
    gain: float | None = None


def bound_zoom(facts: Facts) -> Advice | None:
    """Advise a harder bound on the zoom than the default, which leaves less to decode: the mildest bound that brings most of the possible gain."""
    bounded = {way: _gain(facts, way) for way in facts.loaders if (way.max_zoom or math.inf) < MAX_ZOOM}
    most = max(bounded.values(), default=0.0)
    if most < _WORTH:
        return None
    enough = [way for way, gain in bounded.items() if gain >= most / _WORTH]
    mildest = max(enough, key=lambda way: way.max_zoom or 0)
    return Advice(
        f"SaliencySampler(..., max_zoom={mildest.max_zoom:g}): images are decoded no larger than such a zoom can show",
        bounded[mildest],
    )


def num_threads(facts: Facts) -> Advice | None:
    """Advise another number of threads if decoding is the limit; never more than there are processors."""
    useful = [count for count in facts.threads if count <= facts.processors]
    best = min(useful, key=lambda count: facts.threads[count])
    gain = facts.threads[facts.processors] / facts.threads[best]
    if facts.limit != DECODE or gain < _WORTH:
        return None
    return Advice(f"num_threads={best}: decoding is quicker than with {facts.processors}", gain)


def cache_size(facts: Facts) -> Advice | None:
    """Advise local copies of remote shards if reading is the limit."""
    if not facts.remote or facts.limit != READ:
        return None
    room = max(1, round(1.1 * facts.bytes / facts.images * facts.samples / 1e9))
    return Advice(
        f'cache_size="{room}GB": from the second epoch on, remote shards are read from copies on this machine',
        facts.stages[READ] / facts.loaders[DEFAULT],
    )


def faster_storage(facts: Facts) -> Advice | None:
    """Advise another disk if reading local shards is the limit, since no setting of the loader helps then."""
    if facts.remote or facts.limit != READ:
        return None
    return Advice(
        f"move the shards to a faster disk: this one gives {_megabytes(facts):,.0f} MB/s",
        facts.stages[READ] / facts.loaders[DEFAULT],
    )


def write_indexes(facts: Facts) -> Advice | None:
    """Advise index files beside the shards, which every machine that opens them can use."""
    if not facts.without_index:
        return None
    return Advice(
        f"foveal index SHARDS: {facts.without_index:,} of {facts.shards:,} shards have no index beside them, and every "
        f"machine works it out anew (opening them took {facts.opening_seconds:.1f} s here)"
    )


def encode_anew(facts: Facts) -> Advice | None:
    """Advise to re-encode images that DALI refuses."""
    if not facts.by_pillow:
        return None
    return Advice(
        f"write images of unusual kinds as plain JPEGs or PNGs: DALI refused {facts.by_pillow:,} of {facts.images:,}, and "
        "Pillow decodes them one at a time"
    )


def more_processors(facts: Facts) -> Advice | None:
    """Advise a machine with more processors if decoding on few is the limit."""
    if facts.processors > _FEW or facts.limit != DECODE:
        return None
    if facts.processors == 1:
        return Advice("a machine with more than 1 processor: decoding spreads over all there are")
    times = facts.threads[1] / facts.threads[facts.processors]
    if times < _WORTH:  # other processes use the processors: more of them might bring as little
        return None
    return Advice(
        f"a machine with more than {facts.processors} processors: here they decode {times:.1f} times as fast as 1"
    )


def use_cuda(facts: Facts) -> Advice | None:
    """Advise to use a CUDA device if there is one."""
    gains = {way.device: _gain(facts, way) for way in facts.loaders if way.device != "cpu"}
    device, gain = max(gains.items(), key=lambda item: item[1], default=("", 0.0))
    if gain < _WORTH:
        return None
    return Advice(f'zoom.to("{device}"): images are then decoded and zoomed there', gain)


def zoom_offline(facts: Facts) -> Advice | None:
    """Advise to zoom shards offline if images are much larger than the zoom shows."""
    mean = facts.pixels / facts.images
    if mean < _MUCH_LARGER * (_SHOWN_ZOOM * facts.out_size) ** 2:
        return None
    return Advice(
        f"foveal zoom SHARDS --out FOLDER, if the saliency need not learn: an epoch then decodes {facts.out_size} × {facts.out_size} "
        f"pixels instead of {mean / 1e6:.1f} megapixels an image, one in {mean / facts.out_size**2:,.0f}"
    )


def verify(facts: Facts) -> Advice | None:
    """Advise to list bad images in a quarantine file."""
    if not facts.bad:
        return None
    tried = facts.images + facts.bad
    return Advice(
        "foveal verify SHARDS, with the same --image and --window if any, then foveal train --quarantine or ZoomLoader(quarantine=...) with "
        f"the file that it writes: {facts.bad:,} of {tried:,} images are bad, the first: {facts.bad_reason}"
    )


RULES: tuple[Callable[[Facts], Advice | None], ...] = (
    bound_zoom,
    num_threads,
    cache_size,
    faster_storage,
    use_cuda,
    zoom_offline,
    more_processors,
    encode_anew,
    write_indexes,
    verify,
)


def advise(facts: Facts) -> list[Advice]:
    """Return all advice that the facts call for: the largest gain first, unknown gains last."""
    given = [advice for rule in RULES if (advice := rule(facts)) is not None]
    return sorted(given, key=lambda advice: -(advice.gain or 0))


def _gain(facts: Facts, way: Way) -> float:
    """Return how many times as fast a loader set up in this way is as one with the defaults, including reading; 0 if not measured."""
    if way not in facts.loaders:
        return 0.0
    return facts.loader_seconds / max(facts.loaders[way], facts.stages[READ])


def _megabytes(facts: Facts) -> float:
    return facts.bytes / facts.images / facts.stages[READ] / 1e6
