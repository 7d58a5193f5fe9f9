"""``foveal bench gpu`` on the CPU: every step runs, and failures are reported."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from foveal.shards import Shards, ShardWriter
from foveal.tools.bench.gpu import _kernels, _steps
from foveal.tools.bench.gpu import check as gpu_check
from foveal.tools.bench.gpu.table import bench_device
from tests.pipeline.making import encode, picture

CPU = torch.device("cpu")
STEPS = [
    "environment",
    "kernels beside the CPU's",
    "tests marked gpu",
    "decode and zoom",
    "ten steps of training",
    "sampling kernel",
    "decode only",
    "decode only, CPU",
    "table",
    "memory",
    "compute-sanitizer",
]


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    """Return a shard of six pictures."""
    path = tmp_path_factory.mktemp("gpu") / "s.tar"
    with ShardWriter(path) as writer:
        for k in range(6):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 90 + k, 120))})
    return [str(path)]


@pytest.mark.parametrize("alone", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_step_runs(urls, tmp_path, monkeypatch, alone):
    """The file has what was printed; in make test-all, pytest and Triton's interpreter run in processes of their own, too."""
    pytest.importorskip("triton")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    if alone:
        monkeypatch.setattr(gpu_check, "_process", lambda command, *_, **__: {"said": command})
    found = gpu_check.check_gpu(
        urls,
        device="cpu",
        json_path=tmp_path / "gpu.json",
        tests=[f"{Path(__file__).parents[3]}/sampler/sampling/test_lowres.py"],
        size=16,
    )

    assert json.loads((tmp_path / "gpu.json").read_text()) == found
    assert list(found) == STEPS
    assert not [each for each in found.values() if "error" in each]
    assert found["decode and zoom"]["grey_levels_worst"] == 0
    assert len(found["ten steps of training"]["losses"]) == 10
    assert set(found["sampling kernel"]["ms_a_launch"]) >= {"points", "anti-aliased"}
    assert found["sampling kernel"]["of_a_copys_rate"]["plain copy"] == 1
    assert set(found["decode only"]["images_per_s"]) == {"8 at a time", "128 at a time"}
    assert found["decode only"]["best"] == max(found["decode only"]["images_per_s"].values()) > 0
    assert found["decode only"]["jpeg_engine_busy_percent"] is None
    assert found["table"]["of_decode_only"] > 0
    assert found["table"]["images"] == 4
    assert found["memory"]["host_peak_mb"] >= 0
    assert "skipped" in found["compute-sanitizer"]
    said = found["tests marked gpu"]["said"]
    assert "-m gpu" in " ".join(said) if alone else "skipped" in said[-1]


def test_only_files_with_tests_for_a_gpu_are_imported(tmp_path):
    """Of a folder, these are the files with the mark, or with the fixture that brings it; a file is taken as it is."""
    contents = {"a": "@pytest.mark.gpu", "b": "@pytest.mark.slow", "c": "def test(triton_device)"}
    for name, content in contents.items():
        (tmp_path / f"test_{name}.py").write_text(content)
    a, b, c = (tmp_path / f"test_{name}.py" for name in contents)
    tests = Path(__file__).parents[3]
    found = gpu_check._files_marked_gpu(tests)

    assert gpu_check._files_marked_gpu(tmp_path) == [str(a), str(c)]
    assert gpu_check._files_marked_gpu(b) == [str(b)]
    assert {f"{tests}/sampler/kernels/test_{name}_triton.py" for name in ("sample", "lowres")} <= set(found)
    assert len(found) < 20


def test_kernels_agree_in_the_interpreter():
    """The GPU's kernels, in Triton's interpreter, agree with the CPU's."""
    pytest.importorskip("triton")
    assert len(_kernels.compare_kernels(CPU)) == 5


def test_a_step_that_fails_does_not_end_the_run(urls, tmp_path, monkeypatch):
    """The file has its error and the result of the next step; steps without time left say so."""

    def fails(*_, **__):
        raise RuntimeError("no such kernel image")

    monkeypatch.setattr(gpu_check, "zoom_on", fails)
    monkeypatch.setattr(gpu_check, "_process", lambda *_, **__: {"said": []})
    monkeypatch.setattr(gpu_check, "bench_device", fails)
    found = gpu_check.check_gpu(urls, device="cpu", json_path=tmp_path / "gpu.json", size=16)

    assert found["decode and zoom"]["error"] == "RuntimeError: no such kernel image"
    assert len(found["ten steps of training"]["losses"]) == 10
    late = gpu_check.check_gpu(urls, device="cpu", seconds=0, size=16)
    assert {name: each["skipped"] for name, each in late.items()} == dict.fromkeys(STEPS, "no time was left")


def test_a_device_that_is_not_there(monkeypatch):
    """The error names the device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = "device must be 'cpu', as torch finds no CUDA here, got 'cuda:3'."
    with pytest.raises(ValueError, match=re.escape(message)):
        gpu_check.check_gpu([], device="cuda:3")
    with pytest.raises(ValueError, match=re.escape(message)):
        bench_device([], device="cuda:3")


def test_a_process_that_fails_or_hangs_is_told():
    """The report has the last lines of its output."""
    with pytest.raises(ChildProcessError, match=re.escape("status 3: ['bad']")):
        gpu_check._process([sys.executable, "-c", "print('bad'); raise SystemExit(3)"], 60)
    code = "import time; print('on it', flush=True); time.sleep(60)"
    with pytest.raises(ChildProcessError, match=re.escape("not done after 1 s: ['on it']")):
        gpu_check._process([sys.executable, "-c", code], 1)


def test_pixels_that_differ_are_noticed(urls, monkeypatch):
    """Pixels that differ, as from a wrong decoder, are reported."""
    monkeypatch.setattr(
        _steps, "_first", lambda urls, device, size, images: (torch.rand(2, 3, 4, 4), ["a", "b"])
    )
    with pytest.raises(ValueError, match=re.escape("pixels must agree to 3.0 grey levels, got [")):
        _steps.zoom_on(urls, CPU, size=4, images=2)


def test_kernels_that_differ_are_noticed(monkeypatch):
    """A wrong kernel is reported."""
    run = subprocess.run(
        [sys.executable, "-m", "foveal.tools.bench.gpu._kernels", "cpu"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.stderr.strip() == "device cpu needs TRITON_INTERPRET=1 in the environment."

    def wrong(images, grid, pixels, slope, **_):
        pixels.fill_(0.5)
        slope.fill_(0)

    monkeypatch.setattr(_kernels, "sample_on_cuda", wrong)
    monkeypatch.setattr(_kernels, "pull_back_on_cuda", lambda *arguments: arguments[-1].zero_())
    monkeypatch.setattr(_kernels, "fill_lowres_on_cuda", lambda images, small: small.zero_())
    with pytest.raises(ValueError, match=re.escape("kernels must agree with the CPU's to 0.001, got")):
        _kernels.compare_kernels(CPU)


def test_the_script_is_the_verb():
    """The script runs the verb in the clone that it is in."""
    script = Path(__file__).parents[4] / "tools" / "bench" / "gpu_check.sh"
    run = subprocess.run(
        ["bash", str(script), "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == 0, run.stderr
    assert "Usage: foveal bench gpu" in run.stdout or "bench gpu [OPTIONS]" in run.stdout


@pytest.mark.parametrize(("seconds", "rate"), [(1, 6 / 5), (6, 6 / 2), (8, 6 / 3)])
def test_the_first_epoch_of_decoding_does_not_count(urls, monkeypatch, seconds, rate):
    """The rate is that of the epochs after the first, unless the first one alone takes too long."""
    took, now = iter([5.0, 2.0, 4.0]), [0.0]

    def decoded(shards, size, device):
        now[0] += next(took)
        return []

    monkeypatch.setattr(_steps, "decoded_batches", decoded)
    monkeypatch.setattr(_steps.time, "perf_counter", lambda: now[0])

    assert _steps._decode_rate(Shards(urls), CPU, 8, seconds) == rate


def test_what_is_no_device():
    """A device that is none is refused before anything runs."""
    message = r"^device must be 'cpu' or 'cuda', such as 'cuda:1', got 'bogus'\.$"
    with pytest.raises(ValueError, match=message):
        gpu_check.check_gpu([], device="bogus")
