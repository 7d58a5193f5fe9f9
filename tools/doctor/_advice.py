"""What to do about what ``foveal doctor`` found. Every piece of advice is a function of the facts, and says what it will bring."""

from collections.abc import Callable
from dataclasses import dataclass

from foveal.tools.doctor._facts import DECODE, DEFAULT, READ, Facts, Setting

_WORTH = 1.1  # times as fast: what is less is lost in noise
_FEW = 4  # processors
_SHOWN_ZOOM = 4  # an output pixel that shows less than a quarter of a uniform step is rarely worth its while
_MUCH_LARGER = 4  # times the pixels that such a zoom can show


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do.

    Attributes:
        do: What, with the argument or the command.
        gain: How many times as fast the loader will be by what was measured here; None where that is not known.
    """

    do: str
    gain: float | None = None


def max_zoom(facts: Facts) -> Advice | None:
    """Less to decode, where the zoom has a bound: the mildest bound that brings most of what bounds can."""
    bounded = {setting: _gain(facts, setting) for setting in facts.loaders if setting.max_zoom is not None}
    most = max(bounded.values(), default=0.0)
    if most < _WORTH:
        return None
    enough = [setting for setting, gain in bounded.items() if gain >= most / _WORTH]
    mildest = max(enough, key=lambda setting: setting.max_zoom or 0)
    return Advice(
        f"SaliencySampler(..., max_zoom={mildest.max_zoom:g}): images are decoded no larger than such a zoom can show",
        bounded[mildest],
    )


def num_threads(facts: Facts) -> Advice | None:
    """Another number of threads if decoding limits, never more than there are processors."""
    useful = [count for count in facts.threads if count <= facts.processors]
    best = min(useful, key=lambda count: facts.threads[count])
    gain = facts.threads[facts.processors] / facts.threads[best]
    if facts.limit != DECODE or gain < _WORTH:
        return None
    return Advice(f"num_threads={best}: decoding is quicker than with {facts.processors}", gain)


def cache_size(facts: Facts) -> Advice | None:
    """Copies of remote shards, where reading limits."""
    if not facts.remote or facts.limit != READ:
        return None
    room = max(1, round(1.1 * facts.bytes / facts.images * facts.samples / 1e9))
    return Advice(
        f'cache_size="{room}GB": from the second epoch on, remote shards are read from copies on this machine',
        facts.stages[READ] / facts.loaders[DEFAULT],
    )


def faster_storage(facts: Facts) -> Advice | None:
    """Where reading from here limits, nothing in the loader helps."""
    if facts.remote or facts.limit != READ:
        return None
    return Advice(
        f"move the shards to a faster disk: this one gives {_megabytes(facts):,.0f} MB/s",
        facts.stages[READ] / facts.loaders[DEFAULT],
    )


def write_indexes(facts: Facts) -> Advice | None:
    """Indexes beside the shards, for every machine that will open them."""
    if not facts.without_index:
        return None
    return Advice(
        f"foveal index SHARDS: {facts.without_index:,} of {facts.shards:,} shards have no index beside them, and every "
        f"machine works it out anew (opening them took {facts.opening_seconds:.1f} s here)"
    )


def encode_anew(facts: Facts) -> Advice | None:
    """Images that DALI refuses."""
    if not facts.by_pillow:
        return None
    return Advice(
        f"write images of unusual kinds as plain JPEGs or PNGs: DALI refused {facts.by_pillow:,} of {facts.images:,}, and "
        "Pillow decodes them one at a time"
    )


def more_processors(facts: Facts) -> Advice | None:
    """A machine with more, where decoding limits on few."""
    if facts.processors > _FEW or facts.limit != DECODE:
        return None
    if facts.processors == 1:
        return Advice("a machine with more than 1 processor: decoding spreads over all there are")
    times = facts.threads[1] / facts.threads[facts.processors]
    if times < _WORTH:  # others are at work here: more processors may do as little
        return None
    return Advice(
        f"a machine with more than {facts.processors} processors: here they decode {times:.1f} times as fast as 1"
    )


def use_cuda(facts: Facts) -> Advice | None:
    """A CUDA device that is there."""
    gains = {setting.device: _gain(facts, setting) for setting in facts.loaders if setting.device != "cpu"}
    device, gain = max(gains.items(), key=lambda item: item[1], default=("", 0.0))
    if gain < _WORTH:
        return None
    return Advice(f'zoom.to("{device}"): images are then decoded and zoomed there', gain)


def zoom_offline(facts: Facts) -> Advice | None:
    """Zoomed shards instead of images much larger than what is shown."""
    mean = facts.pixels / facts.images
    if mean < _MUCH_LARGER * (_SHOWN_ZOOM * facts.out_size) ** 2:
        return None
    return Advice(
        f"foveal zoom SHARDS --out FOLDER, if the saliency need not learn: an epoch then decodes {facts.out_size} × {facts.out_size} "
        f"pixels instead of {mean / 1e6:.1f} megapixels an image, one in {mean / facts.out_size**2:,.0f}"
    )


def verify(facts: Facts) -> Advice | None:
    """Bad images."""
    if not facts.bad:
        return None
    tried = facts.images + facts.bad
    return Advice(
        f"foveal verify SHARDS, and quarantine= with the file that it writes: {facts.bad:,} of {tried:,} images are bad, the "
        f"first: {facts.bad_reason}"
    )


RULES: tuple[Callable[[Facts], Advice | None], ...] = (
    max_zoom,
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
    """Return all advice that the facts call for: what brings most first, what brings nobody knows how much last."""
    given = [advice for rule in RULES if (advice := rule(facts)) is not None]
    return sorted(given, key=lambda advice: -(advice.gain or 0))


def _gain(facts: Facts, setting: Setting) -> float:
    """How many times as fast a loader with this setting is as one with defaults, reading included; 0 if not measured."""
    if setting not in facts.loaders:
        return 0.0
    return facts.loader_seconds / max(facts.loaders[setting], facts.stages[READ])


def _megabytes(facts: Facts) -> float:
    return facts.bytes / facts.images / facts.stages[READ] / 1e6
