import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from foveal.tools.bench import _memory_case
from foveal.tools.bench._memory import bench_memory, check_case
from foveal.tools.bench._memory_case import MemoryCase
from foveal.tools.bench.way import Way
from foveal.tools.scenes.scenes import write_shards


@pytest.mark.slow
def test_small_run(tmp_path, capsys):
    """Every case runs in a process of its own, and training takes memory."""
    peaks = bench_memory([], images=8, repeats=1, image_size=(1600, 1200), json_path=tmp_path / "memory.json")

    assert json.loads((tmp_path / "memory.json").read_text())["peak_mb"] == peaks
    assert len(peaks) == 16
    assert all(peak > 0 for [peak] in peaks.values())
    assert "decode auto, max_zoom 4, trainable, batch 64, budget 100MB" in capsys.readouterr().out


def test_a_case_survives_the_way_to_its_process():
    """A case is read back from the command line."""
    case = MemoryCase("t.tar", "s.tar", 8, Way("auto", 4.0), trains=True, memory_budget="1GB")

    assert MemoryCase.from_json(case.to_json()) == case


def test_the_gradient_of_the_tiny_batch_does_not_count(tmp_path, monkeypatch):
    """If only the batch that warms up trains, there is no gradient, which is noticed."""
    urls = write_shards(tmp_path, 1, console=Console(quiet=True))
    case = MemoryCase(urls[0], urls[0], 1, Way("auto", 4.0), trains=True, memory_budget=None)
    batches, calls = _memory_case._batches, []

    def only_at_first(shard, zoom, case):
        calls.append(shard)
        return batches(shard, zoom, case if len(calls) == 1 else replace(case, trains=False))

    monkeypatch.setattr(_memory_case, "_batches", only_at_first)
    assert _memory_case.peak_of(case)["gradient"] == 0


def test_missing_images_are_noticed():
    """A case that loads fewer images is an error."""
    good = {"images": 64, "gradient": 0.0, "peak_mb": 7}
    assert check_case("a", good, images=64, trains=False) == 7
    with pytest.raises(ValueError, match=re.escape("a: a case must load 64 images, got 63.")):
        check_case("a", {**good, "images": 63}, images=64, trains=False)


def test_missing_gradients_are_noticed():
    """A case without a backward pass is an error."""
    found = {"images": 1, "gradient": 0.0, "peak_mb": 7}
    with pytest.raises(ValueError, match=re.escape("a: the network must have a gradient above 0, got 0.0.")):
        check_case("a", found, images=1, trains=True)
    with pytest.raises(ValueError, match=re.escape("a: the network must have no gradient but 0, got 0.5.")):
        check_case("a", {**found, "gradient": 0.5}, images=1, trains=False)
