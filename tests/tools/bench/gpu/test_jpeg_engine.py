"""Watching a GPU's JPEG engine, with a program in the place of nvidia-smi."""

import time

import pytest
import torch

from foveal.tools.bench.gpu._jpeg_engine import JpegEngine

CUDA = torch.device("cuda", 1)


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Return a function that puts a shell script in the place of nvidia-smi."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def install(script):
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return install


def watched(tmp_path):
    """Watch until the script has run to its end, and return the highest use."""
    with JpegEngine(CUDA) as engine:
        while not (tmp_path / "said").exists():
            time.sleep(0.01)
    return engine.busiest


def test_the_highest_use_of_this_device(nvidia_smi, tmp_path):
    """The highest value counts, of the device that is asked for."""
    nvidia_smi(
        f'echo "$*" > {tmp_path}/asked; echo 3; echo 87; echo 12; touch {tmp_path}/said; exec sleep 60'
    )

    assert watched(tmp_path) == 87
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:2] == ["--id=1", "--query-gpu=utilization.jpeg"]


@pytest.mark.parametrize("said", ["[N/A]", "Field is not a valid field to query.", ""])
def test_a_driver_that_does_not_say_it(nvidia_smi, tmp_path, said):
    """If the driver does not know, there is no value, not 0."""
    nvidia_smi(f'echo "{said}"; touch {tmp_path}/said')

    assert watched(tmp_path) is None


def test_nothing_is_watched_without_a_gpu(monkeypatch):
    """On a CPU, or without nvidia-smi, nothing is started."""
    with JpegEngine(torch.device("cpu")) as engine:
        pass
    assert engine.busiest is None

    monkeypatch.setenv("PATH", "/nowhere")
    with JpegEngine(CUDA) as engine:
        pass
    assert engine.busiest is None
