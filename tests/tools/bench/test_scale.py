import json
import os

import pytest

from foveal.shards import Shards
from foveal.tools.bench._check_loader import check_loader, check_near
from foveal.tools.bench._scale import (
    _SIZE,
    _WAY,
    SMALL_BATCH,
    Case,
    bench_scale,
    conclusions,
    only_processors,
    write_cuts,
)
from foveal.tools.bench.ceilings import count_pixels
from foveal.tools.bench.timing import Timing


def took(*seconds):
    return Timing(list(seconds), 0)


def test_what_the_times_say():
    """Sizes are compared from 2 MP on, batches on small images, and processors for each size."""
    timings = {
        Case("s", 0.3, 16, 1): took(8),
        Case("s", 0.3, 256, 1): took(8),
        Case("m", 2.0, 16, 1): took(6),
        Case("l", 12.0, 16, 1): took(6),
        Case("s", 0.3, 16, 2): took(4),
        Case("s", 0.3, 256, 2): took(5),
        Case("m", 2.0, 16, 2): took(3),
        Case("l", 12.0, 16, 2): took(4),
    }

    assert conclusions(timings) == [
        "From 2 MP on, the slowest size takes 1.33 times the quickest's.",
        "Batches of 256 run at 0.80 times the speed of those of 16.",
        "0.3 MP: 2 processors run at 2.00 times the speed of one.",
        "2.0 MP: 2 processors run at 2.00 times the speed of one.",
        "12.0 MP: 2 processors run at 1.50 times the speed of one.",
    ]


def test_one_processor_is_compared_with_nothing():
    """With one processor, nothing is printed about two."""
    timings = {Case("s", 0.3, 16, 1): took(2), Case("s", 0.3, 256, 1): took(1)}

    assert conclusions(timings) == ["Batches of 256 run at 2.00 times the speed of those of 16."]


def test_cuts_are_of_one_picture(tmp_path):
    """Each epoch has about the same number of pixels, in images of the requested size."""
    shards = write_cuts(tmp_path, [(64, 48), (320, 240)], 200_000)

    assert list(shards.values()) == [64 * 48 / 1e6, 320 * 240 / 1e6]
    assert [count_pixels(Shards(path)) for path in shards] == [65 * 64 * 48, 2 * 320 * 240]
    assert [len({sample.members["jpg"] for sample in Shards(path)}) for path in shards] == [8, 1]


def test_the_loader_is_right_on_large_images(tmp_path):
    """The check passes on images of the usual sizes, of which less is decoded than of small ones."""
    [shard] = write_cuts(tmp_path, [(4000, 3000)], 24_000_000)
    with _WAY.loader(shard, _SIZE, SMALL_BATCH) as loader:
        check_loader(loader, Shards(shard), first=1, check=check_near)


def test_a_process_with_one_processor():
    """The process has one processor from its start, and this process keeps its own."""
    before = os.sched_getaffinity(0)
    with only_processors(1) as machine:
        assert len(machine.submit(os.sched_getaffinity, 0).result()) == 1
        assert os.sched_getaffinity(0) == before


@pytest.mark.slow
def test_small_run(tmp_path, capsys):
    """A small run prints its table and writes its file."""
    timings = bench_scale(
        repeats=1, sizes=[(160, 120), (320, 240)], epoch_pixels=1_000_000, json_path=tmp_path / "scale.json"
    )

    assert len(json.loads((tmp_path / "scale.json").read_text())["cases"]) == len(timings)
    assert "ms a megapixel" in capsys.readouterr().out
