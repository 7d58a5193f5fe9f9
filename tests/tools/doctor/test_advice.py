"""Each piece of advice is given for made-up measurements that call for it, and not for others."""

from dataclasses import replace

import pytest

from foveal.tools.bench.way import Way
from foveal.tools.doctor import _advice as doctor
from foveal.tools.doctor._advice import Advice, advise
from foveal.tools.doctor._facts import DECODE, DEFAULT, READ, STAGES, Facts
from foveal.tools.doctor.doctor import busy, describe, rows, verdict

DALI, CUDA = replace(DEFAULT, decode="dali"), replace(DEFAULT, device="cuda")
BY_4, BY_2 = Way(max_zoom=4.0), Way(max_zoom=2.0)

# A machine of eight processors, images of 0.6 MP, nothing that could be better.
WELL = Facts(
    images=10,
    pixels=6_000_000,
    bytes=1_000_000,
    bad=0,
    bad_reason="",
    by_pillow=0,
    samples=1000,
    shards=4,
    remote=0,
    without_index=0,
    opening_seconds=0.1,
    out_size=224,
    processors=8,
    busy=0.0,
    stages=dict(zip(STAGES, (0.001, 0.01, 0.001, 0.001, 0.001, 0.002), strict=True)),
    decoding={DEFAULT: 0.01, BY_4: 0.01, BY_2: 0.01, DALI: 0.01},
    loaders={DEFAULT: 0.01, BY_4: 0.01, BY_2: 0.01, DALI: 0.01},
    threads={1: 0.08, 4: 0.02, 8: 0.01, 16: 0.01},
)
SLOW_READING = {**WELL.stages, READ: 0.04}
SLOW_SALIENCY = {**WELL.stages, "saliency": 0.02}


def loaders(**seconds):
    names = {"auto": DEFAULT, "dali": DALI, "by_4": BY_4, "by_2": BY_2, "cuda": CUDA}
    return {**WELL.loaders, **{names[name]: taken for name, taken in seconds.items()}}


def test_where_all_is_well():
    """If nothing limits the loader, nothing is advised."""
    assert advise(WELL) == []


@pytest.mark.parametrize(
    ("changes", "bound", "gain"),
    [
        (loaders(auto=0.03, by_4=0.0105), 4, 2.857),  # 5 % more is not worth the harder bound
        (loaders(auto=0.03, by_4=0.018), 2, 3),
        (loaders(auto=0.0105), None, None),
        (loaders(by_4=0.02, by_2=0.02), None, None),
        (loaders(dali=0.005), None, None),  # another decoder is no bound
    ],
)
def test_bound_zoom(changes, bound, gain):
    """A bound is advised if it makes the loader a tenth faster: the mildest one with nearly the full gain."""
    advice = doctor.bound_zoom(replace(WELL, loaders=changes))

    assert (advice is None) == (bound is None)
    if advice is not None:
        assert f"max_zoom={bound})" in advice.do
        assert advice.gain == pytest.approx(gain, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"threads": {**WELL.threads, 16: 0.005}},
            None,
        ),  # more threads than processors: luck, or others' work
        ({"threads": {**WELL.threads, 1: 0.002}}, ("num_threads=1:", 5)),
        ({"threads": {**WELL.threads, 4: 0.008}}, ("num_threads=4:", 1.25)),
        ({"threads": {**WELL.threads, 4: 0.0095}}, None),
        ({"threads": {**WELL.threads, 4: 0.005}, "stages": SLOW_SALIENCY}, None),
    ],
)
def test_num_threads(changes, expected):
    """Another number of threads is advised if it decodes a tenth faster and decoding limits."""
    advice = doctor.num_threads(replace(WELL, **changes))

    assert (advice and (advice.do.split()[0], pytest.approx(advice.gain))) == expected


@pytest.mark.parametrize(
    ("rule", "changes", "expected"),
    [
        # 1000 samples of 100 kB are 0.1 GB
        (doctor.cache_size, {"remote": 4, "stages": SLOW_READING}, ('cache_size="1GB":', 4)),
        (
            doctor.cache_size,
            {"remote": 4, "stages": SLOW_READING, "samples": 1_000_000},
            ('cache_size="110GB":', 4),
        ),
        (doctor.cache_size, {"stages": SLOW_READING}, None),
        (doctor.cache_size, {"remote": 4}, None),
        (doctor.faster_storage, {"stages": SLOW_READING}, ("move", 4)),
        (doctor.faster_storage, {"remote": 4, "stages": SLOW_READING}, None),
        (doctor.faster_storage, {}, None),
    ],
)
def test_reading(rule, changes, expected):
    """If reading limits, local copies are advised for remote shards, and another disk for local ones."""
    advice = rule(replace(WELL, **changes))

    assert (advice and (advice.do.split()[0], pytest.approx(advice.gain))) == expected


@pytest.mark.parametrize(
    ("rule", "changes", "words"),
    [
        (doctor.write_indexes, {"without_index": 3}, "foveal index SHARDS: 3 of 4 shards have no index"),
        (doctor.encode_anew, {"by_pillow": 2}, "DALI refused 2 of 10"),
        (doctor.more_processors, {"processors": 4}, "more than 4 processors: here they decode 4.0 times"),
        (doctor.more_processors, {"processors": 1}, "more than 1 processor: decoding spreads"),
        (doctor.use_cuda, {"loaders": loaders(cuda=0.002)}, 'zoom.to("cuda")'),
        (doctor.zoom_offline, {"pixels": 120_000_000}, "instead of 12.0 megapixels an image, one in 239"),
        (doctor.verify, {"bad": 2, "bad_reason": "is empty"}, "2 of 12 images are bad, the first: is empty"),
    ],
)
def test_what_else_is_there(rule, changes, words):
    """Each further advice is given if its condition holds, and not otherwise."""
    advice = rule(replace(WELL, **changes))

    assert advice is not None
    assert words in advice.do
    assert rule(WELL) is None


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (doctor.more_processors, {"processors": 4, "stages": SLOW_SALIENCY}),
        (doctor.more_processors, {"processors": 4, "threads": {1: 0.02, 4: 0.02}}),
        (doctor.use_cuda, {"loaders": loaders(cuda=0.0095)}),
        (doctor.zoom_offline, {"pixels": 30_000_000}),
    ],
)
def test_what_would_not_help(rule, changes):
    """More processors, a faster device or larger batches are not advised if they would not help."""
    assert rule(replace(WELL, **changes)) is None


def test_what_brings_most_comes_first():
    """Advice is sorted by its gain, with unknown gains last."""
    facts = replace(WELL, bad=1, bad_reason="x", loaders=loaders(auto=0.03, cuda=0.001))
    gains = [advice.gain for advice in advise(facts)]

    assert gains[:2] == [pytest.approx(30), pytest.approx(3)]
    assert gains[-1] is None
    assert gains[:-1] == sorted(gains[:-1], reverse=True)


def test_the_verdict():
    """The verdict says what limits, how fast that is, and its share of the work."""
    assert verdict(WELL) == (
        "Decoding limits: 100.0 images/s (60 MP/s) with the loader's defaults, and 62% of the work is decoding."
    )
    assert verdict(replace(WELL, stages=SLOW_READING)) == (
        "Reading limits: 25.0 images/s (15 MP/s) with the loader's defaults; without waiting for it, 100.0."
    )
    assert replace(WELL, stages=SLOW_SALIENCY).limit == "saliency"


def test_a_busy_machine():
    """Other processes are mentioned if they use more than a tenth of all processors."""
    facts = replace(WELL, busy=3.14)

    assert facts.is_busy
    assert not replace(WELL, busy=0.8).is_busy
    assert busy(facts) == (
        "The machine was busy: other processes used 3.1 of 8 processors while this was measured, so the figures are too low, "
        "and the advice may be wrong. Run again when nothing else runs."
    )


def test_the_table():
    """The table has stages with their shares, other decoders, and whole loaders."""
    found = {row[0]: row[1:] for row in rows(WELL)}

    assert found[READ] == ["1.00", "1,000.0", "", "100", "6%"]
    assert found[DECODE] == ["10.00", "100.0", "60", "", "62%"]
    assert found["decoding, auto, max_zoom 4"] == ["10.00", "100.0", "60", "", ""]
    assert found["loader, auto, max_zoom 5"] == ["10.00", "100.0", "60", "", ""]
    assert len(found) == 6 + 3 + 4


def test_how_advice_reads():
    """Advice gives its gain if that is known."""
    assert describe(Advice("do this", 1.26)) == "do this – 1.3 times as fast."
    assert describe(Advice("do that")) == "do that."
