import json
import re
import time

import pytest
from rich.console import Console

from foveal.tools.bench.timing import Timing, alternate, write_json, write_report
from foveal.tools.console.machine import environment
from tests.full_disk import full_at


def test_cases_take_turns():
    """Each round runs every case once, and the first round does not count."""
    calls = []
    timings = alternate(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, console=Console()
    )

    assert calls == ["a", "b"] * 4
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]


def test_slow_is_slower():
    """A case that sleeps takes longer."""
    timings = alternate({"quick": lambda: None, "slow": lambda: time.sleep(0.02)}, 3, console=Console())

    assert timings["slow"].median >= 0.02
    assert timings["quick"].times_faster_than(timings["slow"]) > 5


def test_peak_memory_is_that_of_the_case():
    """The peak includes memory that a case has freed."""
    timings = alternate(
        {"small": lambda: bytes(1), "large": lambda: b"\1" * (200 << 20)}, 2, console=Console(), peaks=True
    )

    assert timings["large"].peak_mb > timings["small"].peak_mb + 150


def test_ratio_is_the_median_of_ratios():
    """Ratios are taken within a round, so that drift cancels."""
    ours = Timing([1.0, 10.0, 2.0], 0)
    theirs = Timing([3.0, 20.0, 8.0], 0)

    assert ours.times_faster_than(theirs) == 3
    assert ours.median == 2


def test_json_has_numbers_and_circumstances(tmp_path):
    """The file says what was measured, where, and with which versions."""
    write_json(tmp_path / "bench.json", "sample", {"ours": Timing([0.5, 0.25], 7)}, size=224)

    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["cases"]["ours"] == {"seconds": [0.5, 0.25], "median_s": 0.375, "peak_mb": 7}
    assert report["benchmark"] == "sample"
    assert report["size"] == 224
    assert report["environment"] == environment()
    assert report["environment"]["packages"].keys() >= {"torch", "foveal"}


def test_a_report_that_does_not_fit(tmp_path):
    """If the disk is full, the report of an earlier run stays, and the error names the file."""
    path = tmp_path / "bench.json"
    write_report(path, {"benchmark": "earlier"})
    before = path.read_bytes()
    with full_at(1000), pytest.raises(OSError, match=re.escape(f"File too large: {str(path)!r}")):
        write_report(path, {"benchmark": "long" * 1000})

    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("bench.json", before)]


@pytest.mark.parametrize("repeats", [1, 2])
def test_repeats(repeats):
    """There are as many rounds as requested."""
    assert len(alternate({"a": lambda: None}, repeats, console=Console())["a"].seconds) == repeats
