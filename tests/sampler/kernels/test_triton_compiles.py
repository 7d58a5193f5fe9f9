"""The CUDA kernels compile, and to good machine code; no GPU is needed for this."""

import importlib.util
import json
from importlib import metadata

import pytest
import torch

from foveal.sampler.kernels import _kernels_for, kernels_for
from tests.sampler.making import numbers_of, run_in

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="no Triton: pip install '.[test]'"
)

CUDA = torch.device("cuda", 0)

# In an interpreter of its own, where Triton compiles: what becomes of each kernel, as JSON.
COMPILE = r"""
    import json, os, re, subprocess
    os.environ.pop("TRITON_INTERPRET", None)
    os.environ["TRITON_CACHE_DIR"] = os.getcwd()
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from foveal.sampler.kernels.cuda._antialias import antialias_kernel
    from foveal.sampler.kernels.cuda._box_means import box_mean_kernel
    from foveal.sampler.kernels.cuda._pull_back import by_points_kernel, by_steps_kernel, pull_back_kernel
    from foveal.sampler.kernels.cuda._points import sample_kernel

    pointers = dict(table="*i64", grid="*fp32", pixels="*bf16", slope="*fp32", small="*fp32", by_pixels="*bf16", by_grid="*fp32", sizes="*i32", by_steps="*fp32")

    def built(kernel, arch=90, registers=None, **constants):
        types = {name: "fp32" if name.endswith(("_scale", "_shift")) else pointers.get(name, "i32") for name in kernel.arg_names}
        types.update(dict.fromkeys(constants, "constexpr"))
        source, target = ASTSource(kernel, types, constants), GPUTarget("cuda", arch, 32)
        assembly = triton.compile(source, target=target, options=dict(enable_fp_fusion=False, maxnreg=registers)).asm
        with open("kernel.cubin", "wb") as file:
            file.write(assembly["cubin"])
        tool = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", "kernel.cubin"]
        said = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
        used = {name: int(count) for name, count in re.findall(r"(REG|STACK|LOCAL):(\d+)", said)}
        found = {name: len(re.findall(name, assembly["ptx"])) for name in ("ld.global.b64", "ld.global.[bu]8", "fma.rn.f32")}
        return used | found

    report = {
        "anti-aliased": built(antialias_kernel, with_slope=False),
        "anti-aliased, slope": built(antialias_kernel, with_slope=True),
        "points, slope": built(sample_kernel, with_slope=True),
        "points, on Turing": built(sample_kernel, 75, with_slope=False),
        "low resolution": built(box_mean_kernel),
        "pull back": built(pull_back_kernel),
        "footprints back": built(by_steps_kernel),
        "steps back": built(by_points_kernel),
        "starved": built(antialias_kernel, registers=32, with_slope=True),
    }
    with open("report.json", "w") as file:
        json.dump(report, file)
"""
# The most registers to a thread with which as many warps stay on a Hopper multiprocessor as it takes: 40, 24, 32, 64, ...
MOST = {
    "anti-aliased": 48,
    "anti-aliased, slope": 80,
    "points, slope": 48,
    "points, on Turing": 48,
    "low resolution": 64,
    "pull back": 32,
}
BEFORE_TRITON_3_9 = {"anti-aliased": 56}  # versions 3.4 and 3.7 need a few more


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return what Triton compiles the kernels to, for a device that need not be present."""
    folder = tmp_path_factory.mktemp("kernels")
    run_in(folder, COMPILE)
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("kernel", MOST)
def test_nothing_spills(report, kernel):
    """Each kernel compiles without spilling registers, and uses few enough for good occupancy."""
    most = MOST | (BEFORE_TRITON_3_9 if numbers_of(metadata.version("triton")) < (3, 9) else {})
    assert report[kernel]["STACK"] == report[kernel]["LOCAL"] == 0
    assert 0 < report[kernel]["REG"] <= most[kernel]


def test_a_spill_would_be_noticed(report):
    """With half of the registers that it needs, a kernel is seen to spill."""
    assert report["starved"]["REG"] == 32
    assert report["starved"]["STACK"] + report["starved"]["LOCAL"] > 0


@pytest.mark.parametrize(
    ("kernel", "words"), [("anti-aliased", 5), ("anti-aliased, slope", 9), ("points, slope", 4)]
)
def test_pixels_are_read_by_words(report, kernel, words):
    """Pixels are read eight bytes at a time, except in the low-resolution copy."""
    assert report[kernel]["ld.global.b64"] >= words
    assert report[kernel]["ld.global.[bu]8"] == 0
    assert report["low resolution"]["ld.global.[bu]8"] == 6
    assert report[kernel]["fma.rn.f32"] > 0


@pytest.fixture
def machine(monkeypatch):
    """Pretend that a machine has these devices and packages."""

    def has(*, capability, triton):
        _kernels_for._has_triton.cache_clear()
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if triton else None)

    yield has
    _kernels_for._has_triton.cache_clear()


def test_who_computes(machine):
    """numba computes on the CPU, Triton on CUDA for float32, and plain torch everything else."""
    machine(capability=(9, 0), triton=True)

    assert kernels_for(torch.device("cpu"), torch.float32) == "numba"
    assert kernels_for(torch.device("cpu"), torch.float64) == "numba"
    assert kernels_for(CUDA, torch.float32) == "triton"
    assert kernels_for(CUDA, torch.float64) == "torch"
    assert kernels_for(torch.device("meta"), torch.float32) == "torch"


@pytest.mark.parametrize(("capability", "triton"), [((6, 1), True), ((9, 0), False)])
def test_who_computes_without_triton(machine, capability, triton):
    """Plain torch computes on devices that Triton does not support, and if Triton is not installed."""
    machine(capability=capability, triton=triton)

    assert kernels_for(CUDA, torch.float32) == "torch"
