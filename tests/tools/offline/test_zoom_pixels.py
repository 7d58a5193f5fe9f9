"""``foveal zoom``, ``verify`` and ``view`` on images of more than 8 bits."""

import io
import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foveal.pipeline import PixelRule
from foveal.shards import ShardWriter
from foveal.tools.offline._encode_image import encode_image
from foveal.tools.offline.recipe import Recipe
from tests.tools import command_line
from tests.tools.offline.zooming import rows_of, samples_of, zoom

HEIGHT, WIDTH = 96, 160
WINDOW = (-1000.0, 400.0)


def hounsfield(k: int) -> Any:
    """Return a ramp with CT values, different for each sample."""
    return (np.tile(np.linspace(-1024, 3000, WIDTH), (HEIGHT, 1)) + 10 * k).astype(np.int16)


@pytest.fixture
def shard(tmp_path) -> str:
    """Return a shard of four images of signed integers, as scanners write them."""
    with ShardWriter(tmp_path / "ct.tar") as writer:
        for k in range(4):
            file = io.BytesIO()
            tifffile.imwrite(file, hounsfield(k), photometric="minisblack")
            writer.write({"__key__": f"s{k}", "tif": file.getvalue(), "cls": k})
    return str(tmp_path / "ct.tar")


def foveal(*arguments: object) -> Any:
    return command_line.run(*arguments, width=300)


def test_zoom_of_tif_members(shard, tmp_path):
    """With a window the exit status is 0, sheet and manifest are written, and pixels are those of a uniform resize."""
    out = tmp_path / "out"
    arguments = ("zoom", shard, "--out", out, "--image", "tif", "--saliency", "uniform", "--format", "png")
    run = foveal(*arguments, "--out-size", 32, "--window", "-1000:400")

    assert run.exit_code == 0, run.exception
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
    assert again.exit_code == 0
    assert "1 of 1 shards are done already" in again.stdout


def test_zoom_without_the_window_that_it_needs(shard, tmp_path):
    """Without a window no image is written, and each row says why."""
    out = tmp_path / "out"
    run = foveal(
        "zoom", shard, "--out", out, "--image", "tif", "--saliency", "uniform", "--max-bad-fraction", 1
    )

    assert run.exit_code == 0, run.exception
    rows = rows_of(out)
    assert [row["status"] for row in rows] == ["unsupported"] * 4
    assert all(row["reason"].startswith("image needs a window: ") for row in rows)


def test_verify_with_and_without_a_window(shard, tmp_path):
    """Images that need a window are bad without one, and good with one."""
    quarantine = ("--quarantine", tmp_path / "bad.jsonl", "--members", "tif")
    without, within = (
        foveal("verify", shard, *quarantine),
        foveal("verify", shard, *quarantine, "--window", "auto"),
    )

    assert without.exit_code == 1
    assert "image needs a window" in without.stdout
    assert within.exit_code == 0


def test_words_that_are_no_window(shard, tmp_path):
    """The message says what a window looks like."""
    run = foveal("zoom", shard, "--out", tmp_path / "out", "--window", "soft")

    assert run.exit_code == 1
    assert "window must be LOW:HIGH, such as -1000:400, or auto, got 'soft'." in str(run.exception)


@pytest.fixture
def sensor(tmp_path) -> str:
    """Return a shard of four images of 12 bits in 16, with three bands each."""
    with ShardWriter(tmp_path / "sensor.tar") as writer:
        for k in range(4):
            file = io.BytesIO()
            tifffile.imwrite(file, sensor_values(k), photometric="rgb")
            writer.write({"__key__": f"s{k}", "tif": file.getvalue(), "cls": k})
    return str(tmp_path / "sensor.tar")


def sensor_values(k: int) -> Any:
    return np.random.default_rng(k).integers(0, 4096, (HEIGHT, WIDTH, 3), dtype=np.uint16)


def zoomed_files(urls: str, out: Path, **settings: Any) -> list[bytes]:
    recipe = Recipe(out_size=32, image="tif", saliency="uniform", **settings)
    zoom(urls, out, recipe)
    return [members[recipe.extension] for _, members in samples_of(out)]


@pytest.mark.parametrize("window", [None, (0.0, 4095.0)])
@pytest.mark.parametrize("image_format", ["png16", "npy"])
def test_deep_images_stay_deep(sensor, tmp_path, window, image_format):
    """png16 and npy keep means of the stored values to a 16-bit level, with and without a window."""
    files = zoomed_files(sensor, tmp_path / "out", format=image_format, rule=PixelRule(window))

    for k, file in enumerate(files):
        light = sensor_values(k).astype(np.float64) / (window or (0, 65535))[1]
        means = light.reshape(32, 3, 32, 5, 3).mean(axis=(1, 3))
        if image_format == "npy":
            zoomed = np.load(io.BytesIO(file))
            assert zoomed.dtype == np.float32
        else:
            stored = imagecodecs.png_decode(file)
            assert stored.dtype == np.uint16
            zoomed = stored / 65535
        assert np.abs(zoomed - means)[1:-1, 1:-1].max() < 2 / 65535
        assert len(np.unique(zoomed)) > 256


def test_eight_bits_stay_eight_in_npy(tmp_path):
    """For 8-bit images, npy is uint8, and png16 has the same levels."""
    with ShardWriter(tmp_path / "plain.tar") as writer:
        file = io.BytesIO()
        tifffile.imwrite(file, np.full((HEIGHT, WIDTH, 3), (10, 100, 200), np.uint8), photometric="rgb")
        writer.write({"__key__": "a", "tif": file.getvalue()})
    urls = str(tmp_path / "plain.tar")
    [array] = zoomed_files(urls, tmp_path / "npy", format="npy")
    [deep] = zoomed_files(urls, tmp_path / "png16", format="png16")

    assert np.load(io.BytesIO(array)).dtype == np.uint8
    assert np.array_equal(imagecodecs.png_decode(deep), np.full((32, 32, 3), (2570, 25700, 51400), np.uint16))


@pytest.mark.parametrize("grey", [True, False])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10**6))
def test_pngs_of_sixteen_bits(grey, height, width, seed):
    """Another library reads the PNGs, which are grey if the image is."""
    pixels = np.random.default_rng(seed).integers(
        0, 65536, (height, width, 1 if grey else 3), dtype=np.uint16
    )

    read = imagecodecs.png_decode(encode_image(np.broadcast_to(pixels, (height, width, 3)), "png16", 90))

    assert read.dtype == np.uint16
    assert np.array_equal(read.reshape(pixels.shape), pixels)
