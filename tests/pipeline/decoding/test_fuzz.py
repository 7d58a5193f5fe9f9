"""Thousands of damaged images are decoded without a crash, a hang or growing memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def fuzz(count: int, seed: int, *shards: Path) -> dict[str, int]:
    run = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.decoding.fuzz", str(count), str(seed), *map(str, shards)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert run.returncode == 0, f"exit status {run.returncode}: {run.stderr[-2000:]}"
    return json.loads(run.stdout)


def check(found: dict[str, int], count: int) -> None:
    assert found["refused by header"] + found["refused by decoders"] + found["decoded"] == count
    assert found["decoded"] > count / 10
    assert found["by pillow"] > 0
    assert found["by helpers"] > 0
    assert found["helpers ended"] < count / 100
    assert found["peak_mb"] < 2048


def test_mutations(capsys):
    """Mutations of small images of every kind do no harm."""
    found = fuzz(1_000, 0)
    with capsys.disabled():
        sys.stdout.write(f"\n  {found}\n")

    check(found, 1_000)


def test_mutations_of_found_files(data_dir, capsys):
    """Mutations of the files that other projects test their decoders with do no harm."""
    found = fuzz(1_000, 0, data_dir / "odd" / "odd-000000.tar")
    with capsys.disabled():
        sys.stdout.write(f"\n  {found}\n")

    check(found, 1_000)


def test_a_crash_is_noticed():
    """The check fails if the process ends with an error."""
    with pytest.raises(AssertionError, match=r"(?s)exit status 1: .*invalid literal"):
        fuzz("many", 0)
