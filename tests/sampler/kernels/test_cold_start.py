"""The first batch in a process finds its kernels on disk or compiles them, whichever other processes are starting."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.making import complaints
from tests.time_limits import HANGS_AFTER_S

FIRST_BATCH = """
    import hashlib, torch
    from foveal.sampler import SaliencySampler
    torch.manual_seed(0)
    images = [torch.randint(0, 256, (400, 300, 3), dtype=torch.uint8)]
    found = hashlib.sha256()
    for antialias in (True, False):
        zoom = SaliencySampler(16, lowres_size=(32, 32), antialias=antialias)
        zoom.load_state_dict({name: torch.full_like(value, 0.1) for name, value in zoom.state_dict().items()})
        zoomed = zoom(images)
        zoomed.images.sum().backward()
        found.update(zoomed.images.detach().numpy().tobytes())
    from foveal.sampler.kernels.cpu import _antialias as _antialias_numba
    from foveal.sampler.kernels.cpu import _separable as _lowres_numba
    from foveal.sampler.kernels.cpu import _pull_back as _pull_back_numba
    from foveal.sampler.kernels.cpu import _points as _sample_numba
    kernels = (_antialias_numba.antialias_into, _sample_numba.sample_into, _sample_numba.pull_back_into, _pull_back_numba.pull_footprints_back_into, _lowres_numba.separable_into)
    print(found.hexdigest(), [sum(kernel.stats.cache_hits.values()) for kernel in kernels])
"""


def start(cache):
    source = Path(__file__).parents[3] / "src"
    lines = f"import sys; sys.path.insert(0, {str(source)!r})\n" + FIRST_BATCH.replace("\n    ", "\n")
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", lines],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process):
    out, errors = process.communicate(timeout=HANGS_AFTER_S)
    assert process.returncode == 0, errors
    assert complaints(errors) == []
    return out.strip().split(" ", maxsplit=1)


@pytest.mark.slow
def test_eight_processes_start_cold_at_once(tmp_path):
    """Of eight processes that start at once, one compiles each kernel, and the others and a ninth find it on disk."""
    together = [answer(process) for process in [start(tmp_path) for _ in range(8)]]
    pixels, found = answer(start(tmp_path))

    assert {ours for ours, _ in together} == {pixels}
    assert np.sum([json.loads(loaded) for _, loaded in together], axis=0).tolist() == [7] * 5
    assert found == "[1, 1, 1, 1, 1]"
    assert list(tmp_path.rglob("*.tmp.*")) == []


@pytest.mark.slow
def test_a_broken_cache_is_compiled_anew(tmp_path):
    """If the cache has an index without its data, kernels are compiled again, and the pixels are the same."""
    pixels, found = answer(start(tmp_path))
    for data in tmp_path.rglob("*.nbc"):
        data.unlink()

    assert found == "[0, 0, 0, 0, 0]"
    assert answer(start(tmp_path)) == [pixels, found]
