import json
import re

import pytest
import torch
from rich.console import Console

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler
from foveal.shards import Shards
from foveal.tools._bench_loader import bench_loader, check_loader
from foveal.tools._scenes import write_shards

# The loader by hand has two workers wherever it runs; on a machine with one processor torch advises against that.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning")


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("scenes"), 3, console=Console(), per_shard=2)


@pytest.fixture(scope="module")
def batches(urls):
    zoom = SaliencySampler(24).eval().requires_grad_(requires_grad=False)
    with ZoomLoader(urls, zoom, batch_size=2, fields=("image", "__key__", "__grid__")) as loader:
        return list(loader)


def test_counts_pixels(urls, batches):
    """A right loader passes, and its originals' pixels are counted."""
    assert check_loader(batches, Shards(urls)) == 1920 * 1280 * 2 + 2048 * 1152


def test_wrong_pixels_are_noticed(urls, batches):
    """A pixel that is a little off is an error that names the sample."""
    images, keys, grids = batches[1]
    wrong = images.clone()
    wrong[0, 0, 3, 5] += 0.001
    with pytest.raises(ValueError, match=re.escape("scene-000002: pixels must agree to 0.0001")):
        check_loader([batches[0], (wrong, keys, grids)], Shards(urls))


def test_wrong_grid_is_noticed(urls, batches):
    """So is a grid that is not the one that was sampled."""
    images, keys, grids = batches[0]
    with pytest.raises(ValueError, match=re.escape("scene-000000: pixels must agree")):
        check_loader([(images, keys, grids + 0.01)], Shards(urls))


def test_missing_and_repeated_samples_are_noticed(urls, batches):
    """Every sample comes once, in order."""
    with pytest.raises(ValueError, match=re.escape("the loader must deliver all 3 samples, got 2.")):
        check_loader(batches[:1], Shards(urls))
    with pytest.raises(ValueError, match="keys must be those of the shards from sample 2"):
        check_loader([batches[0], batches[0]], Shards(urls))


@pytest.mark.slow
def test_small_run(urls, tmp_path, capsys):
    """A small run times all five, prints its table and writes its file."""
    timings = bench_loader(urls, batch_size=2, repeats=1, size=24, json_path=tmp_path / "loader.json")

    report = json.loads((tmp_path / "loader.json").read_text())
    assert list(timings) == [
        "reading only",
        "DALI decode only",
        "decode + low-res",
        "whole loader",
        "by hand",
    ]
    assert report["cases"].keys() == timings.keys()
    assert report["images"] == 3
    assert "The loader keeps" in capsys.readouterr().out


def test_by_hand_sees_the_same(urls, batches):
    """The loader to compare with brings back nearly the same pictures, from another decoder and low-res copy."""
    from foveal.tools._by_hand import HandWrittenLoader, PillowImages

    torch.manual_seed(0)
    zoom = SaliencySampler(24, antialias=False).eval().requires_grad_(requires_grad=False)
    by_hand = HandWrittenLoader(urls, zoom, (24, 24), batch_size=2)
    with torch.no_grad():
        [ours] = zoom([PillowImages(urls)[0]]).images
        [theirs] = by_hand._zoomed(PillowImages(urls)[0])

    assert (ours - theirs).abs().mean() < 0.02
