"""``foveal zoom``, ``verify`` and ``view`` on images of more than 8 bits."""

import io
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from foveal.shards import ShardWriter
from tests.tools.offline.zooming import rows_of, samples_of

HEIGHT, WIDTH = 96, 160
WINDOW = (-1000.0, 400.0)


def hounsfield(k: int) -> Any:
    """A ramp like those of CT, another for each sample."""
    return (np.tile(np.linspace(-1024, 3000, WIDTH), (HEIGHT, 1)) + 10 * k).astype(np.int16)


@pytest.fixture
def shard(tmp_path) -> str:
    """Four images of signed integers, as scanners write them."""
    with ShardWriter(tmp_path / "ct.tar") as writer:
        for k in range(4):
            file = io.BytesIO()
            tifffile.imwrite(file, hounsfield(k), photometric="minisblack")
            writer.write({"__key__": f"s{k}", "tif": file.getvalue(), "cls": k})
    return str(tmp_path / "ct.tar")


def foveal(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "foveal.tools", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "300"},
    )


def test_zoom_of_tif_members(shard, tmp_path):
    """Through a window: exit status 0, a sheet, the window in the manifest, and the pixels of an even resize."""
    out = tmp_path / "out"
    arguments = ("zoom", shard, "--out", out, "--image", "tif", "--saliency", "uniform", "--format", "png")
    run = foveal(*arguments, "--out-size", 32, "--window", "-1000:400")

    assert run.returncode == 0, run.stderr
    assert (out / "sheet.png").stat().st_size > 0
    fingerprint = json.loads((out / "manifest.json").read_text())["fingerprint"]
    assert fingerprint["window"] == list(WINDOW)
    assert "tifffile" in fingerprint["formats"]
    for k, (_, members) in enumerate(samples_of(out)):
        low, high = WINDOW
        light = ((hounsfield(k).astype(np.float64) - low) / (high - low)).clip(0, 1)
        means = light.reshape(32, 3, 32, 5).mean(axis=(1, 3))
        zoomed = np.asarray(Image.open(io.BytesIO(members["png"])))[..., 0]
        assert np.abs(zoomed - means * 255).max() < 3
    again = foveal(*arguments, "--out-size", 32, "--window", "-1000:400")
    assert again.returncode == 0
    assert "Nothing was left to do" in again.stdout


def test_zoom_without_the_window_that_it_needs(shard, tmp_path):
    """Nothing is written as ok: each sample's row says why."""
    out = tmp_path / "out"
    run = foveal(
        "zoom", shard, "--out", out, "--image", "tif", "--saliency", "uniform", "--max-bad-fraction", 1
    )

    assert run.returncode == 0, run.stderr
    rows = rows_of(out)
    assert [row["status"] for row in rows] == ["corrupt"] * 4
    assert all(row["reason"].startswith("image needs a window: ") for row in rows)


def test_verify_with_and_without_a_window(shard, tmp_path):
    """What needs a window is bad until there is one."""
    quarantine = ("--quarantine", tmp_path / "bad.jsonl", "--fields", "tif")
    without, within = (
        foveal("verify", shard, *quarantine),
        foveal("verify", shard, *quarantine, "--window", "auto"),
    )

    assert without.returncode == 1
    assert "image needs a window" in without.stdout
    assert within.returncode == 0


def test_words_that_are_no_window(shard, tmp_path):
    """The message says what one looks like."""
    run = foveal("zoom", shard, "--out", tmp_path / "out", "--window", "soft")

    assert run.returncode == 1
    assert "window must be LOW:HIGH, such as -1000:400, or auto, got 'soft'." in run.stderr
