"""Compiling kernels ahead of time, and the messages while kernels are compiled."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture
from tests.tools import command_line

ROOT = Path(__file__).parents[3]
LOADERS = """
    from foveal.pipeline import Augment, Boxes, ZoomCollate, ZoomLoader
    import torch
    from foveal.sampler import MixedResolution, PatchSampler, SaliencyNet, SaliencySampler, SpectralSaliency, UniformSampler
    shard = {shard!r}
    for options in (dict(), dict(decode="auto"), dict(augment=Augment(hflip=0.5, rotate_deg=10)), dict(last_batch="pad")):
        for zoom in (
            SaliencySampler(48, max_zoom=4.0),
            SaliencySampler(40, antialias=False),
            SaliencySampler((33, 57), family="separable", channels_last=True),
            SaliencySampler(40, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)),
            SaliencySampler(40, saliency=SpectralSaliency()),
        ):
            for images, labels in ZoomLoader(shard, zoom, batch_size=3, **options):
                if images.requires_grad:
                    images.sum().backward()
    dense = torch.rand(2, 5, 50, 70, requires_grad=True)
    for options in (dict(), dict(family="cdf"), dict(antialias=False), dict(dtype=torch.float16)):
        SaliencySampler(40, saliency=SaliencyNet(channels=5), **options)(dense).images.sum().backward()
    for zoom in (UniformSampler(32), PatchSampler(2, 24), MixedResolution(4, refined=2)):
        list(ZoomLoader(shard, zoom, batch_size=2))
"""

# Kernels that Python calls are imported in the function that calls them, because numba is loaded by the first call.
LEFT = """
    import ast, importlib, pathlib, pkgutil
    from foveal.sampler.kernels import cpu
    from foveal.tools.doctor.warm import warm
    {before}
    warm()
    kernels = dict()
    for file in pathlib.Path(cpu.__file__).parent.glob("*.py"):
        functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
        for node in (inner for function in functions for inner in ast.walk(function)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(cpu.__name__):
                module = importlib.import_module(node.module)
                kernels |= dict((each.name, getattr(module, each.name)) for each in node.names)
    kernels = dict((name, kernel) for name, kernel in kernels.items() if hasattr(kernel, "signatures"))
    print(sorted(kernels))
    print(sorted(name for name, kernel in kernels.items() if not kernel.signatures))
"""


def run(code, cache):
    lines = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n" + code.replace("\n    ", "\n")
    found = subprocess.run(
        [sys.executable, "-c", lines],
        env={**os.environ, **({} if cache is None else {"NUMBA_CACHE_DIR": str(cache)})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout, found.stderr


@pytest.mark.slow
def test_every_kernel_is_called():
    """foveal doctor --warm calls every kernel that Python calls; one that it does not call is found here."""
    called, missed = run(LEFT.format(before=""), None)[0].splitlines()[-2:]
    nothing = run(LEFT.format(before="warm = lambda: None"), None)[0].splitlines()

    assert missed == "[]"
    assert "'resample_into'" in called
    assert nothing == [called, called]  # where nothing is called, all are missed


@pytest.mark.slow
def test_nothing_is_left_to_compile(tmp_path):
    """After foveal doctor --warm, batches of every zoom, decoder and form of pixels compile nothing."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(5):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 70 + k, 90)), "cls": k})
    code = LOADERS.format(shard=str(tmp_path / "s.tar"))
    cold = run(
        "from foveal.tools._cli import app\napp(['doctor', '--warm'], standalone_mode=False)",
        tmp_path / "kernels",
    )
    again = run(
        "from foveal.tools._cli import app\napp(['doctor', '--warm'], standalone_mode=False)",
        tmp_path / "kernels",
    )
    batches = run(code, tmp_path / "kernels")

    assert re.match(
        r"Compiled kernels for low-resolution copies and separable grids in [\d.]+ s, .*anti-aliased sampling in ",
        cold[0],
    )
    assert f"They are kept in {tmp_path / 'kernels'}" in cold[0]
    assert again[0] == "All CPU kernels are compiled already.\n"
    assert {cold[1], again[1], batches[1]} == {""}


@pytest.mark.slow
def test_a_cold_batch_says_what_it_waits_for(tmp_path):
    """Standard error says once why, and then what each kernel is for, in words and not by its name in the code."""
    code = """
    import torch
    from foveal.sampler import SaliencySampler
    SaliencySampler(16, lowres_size=(32, 32))([torch.zeros((300, 400, 3), dtype=torch.uint8)]).images.sum().backward()
    """
    _, said = run(code, tmp_path)

    [folder] = tmp_path.iterdir()
    why, *kernels = said.splitlines()
    assert why == (
        "Foveal compiles its CPU kernels for this machine once, which takes about 20 seconds, and keeps them in "
        f"{folder}; `foveal doctor --warm` does this ahead of time."
    )
    assert kernels == [
        "Compiling kernels for low-resolution copies and separable grids ...",
        "Compiling kernels for bounds on magnification ...",
        "Compiling kernels for anti-aliased sampling ...",
        "Compiling kernels for the gradient of anti-aliased sampling ...",
    ]


def test_shards_or_warm():
    """Without shards and --warm, the error says what to give."""
    found = command_line.run("doctor")

    assert found.exit_code == 2
    assert "name the shards to examine, or compile ahead with --warm" in re.sub(r"[\s│]+", " ", found.output)
