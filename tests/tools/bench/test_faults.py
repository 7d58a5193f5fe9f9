"""``foveal bench faults``."""

import json
import re

import pytest
from rich.console import Console

from foveal.pipeline import BadSample
from foveal.shards import Shards
from foveal.tools.bench._faults import DAMAGES, bench_faults, check_epoch, choose_bad, write_samples
from foveal.tools.pictures.originals import encoded_image
from foveal.tools.scenes.scenes import write_shards


def test_small_run(tmp_path, capsys):
    """A small run prints its table and writes its file."""
    scenes = write_shards(tmp_path, 2, console=Console(quiet=True))
    bench_faults(
        scenes, images=10, percent=40, batch_size=4, repeats=1, size=16, json_path=tmp_path / "f.json"
    )
    report = json.loads((tmp_path / "f.json").read_text())

    assert (report["images"], report["bad"]) == (10, 4)
    assert "With 40.0% bad images the loader keeps" in capsys.readouterr().out


class _Fake:
    """A stand-in for a loader's epoch and report."""

    def __init__(self, keys, bad):
        self.keys, self.bad_samples = keys, [BadSample("u", key, "r", "corrupt") for key in bad]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __iter__(self):
        import torch

        yield None, self.keys, torch.ones(len(self.keys), dtype=torch.bool)


@pytest.mark.parametrize(
    ("keys", "bad"),
    [(["000000"], ["000002"]), (["000000", "000001"], []), (["000001", "000000"], ["000002"])],
)
def test_what_is_missing_is_noticed(keys, bad):
    """A missing sample, one that is not reported, and another order are noticed."""
    with pytest.raises(ValueError, match=re.escape("an epoch must deliver 2 good samples and report 1, got")):
        check_epoch(lambda: _Fake(keys, bad), 3, {2})
    check_epoch(lambda: _Fake(["000000", "000001"], ["000002"]), 3, {2})


@pytest.mark.parametrize(
    ("images", "percent", "count"), [(400, 1.0, 4), (8, 1.0, 1), (8, 0.0, 0), (8, 100.0, 8), (1, 1.0, 1)]
)
def test_a_few_images_have_a_bad_one(images, percent, count):
    """A small run measures bad images, too; with 0 % there are none."""
    bad = choose_bad(images, percent)

    assert len(bad) == count
    assert bad <= set(range(images))


def test_every_damage_is_met(tmp_path):
    """Each kind of damage changes its file."""
    files = [encoded_image(scene) for scene in Shards(write_shards(tmp_path, 2, console=Console(quiet=True)))]
    write_samples(tmp_path / "bad.tar", files, 8, {1, 3, 5, 7})
    written = [sample.members["jpg"] for sample in Shards(tmp_path / "bad.tar")]
    originals = [files[k % 2] for k in range(8)]

    assert [k for k in range(8) if written[k] not in originals] == [1, 3, 5, 7]
    assert len(DAMAGES) == len({written[k] for k in (1, 3, 5, 7)})
