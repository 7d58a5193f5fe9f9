import json

import pytest
import torch
from rich.console import Console

from foveal.sampler import SaliencyNet, SaliencySampler
from foveal.tools.bench._check_loader import check_exact, check_near
from foveal.tools.bench._loader import WAYS, bench_loader, check_of
from foveal.tools.scenes.scenes import write_shards


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("scenes"), 3, console=Console(), per_shard=2)


@pytest.mark.slow
def test_small_run(urls, tmp_path, capsys):
    """A small run times all cases, prints its table and writes its file."""
    timings = bench_loader(
        urls, images=4, batch_size=2, repeats=1, size=96, json_path=tmp_path / "loader.json"
    )

    report = json.loads((tmp_path / "loader.json").read_text())
    assert list(timings) == [
        "reading only",
        "DALI decode only",
        "decode + low-res",
        "Foveal, decode dali",
        "Foveal, decode auto",
        "Foveal, decode auto, max_zoom 4",
        "Foveal, decode auto, max_zoom 2",
        "zooming by hand",
    ]
    assert report["cases"].keys() == timings.keys()
    assert report["images"] == 4
    assert report["pixels"] == 1920 * 1280 * 3 + 2048 * 1152
    assert report["ours"] == [way.name for way in WAYS]
    assert "The loader keeps" in capsys.readouterr().out


def test_only_scaled_decoding_may_differ():
    """Without a bound on the zoom, decode="auto" must give the same pixels."""
    assert [check_of(way) for way in WAYS] == [check_exact, check_exact, check_near, check_near]


def test_the_ways_are_one_network():
    """The cases differ in how they decode, not in their weights."""
    first, *others = ([*way.zoom(24).parameters()] for way in WAYS)

    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


def test_by_hand_sees_the_same(urls):
    """The loader written by hand gives nearly the same pictures."""
    from foveal.tools.bench._by_hand import HandWrittenLoader, PillowImages

    torch.manual_seed(0)
    zoom = (
        SaliencySampler(24, saliency=SaliencyNet(), antialias=False)
        .eval()
        .requires_grad_(requires_grad=False)
    )
    by_hand = HandWrittenLoader(urls, zoom, batch_size=2)
    with torch.no_grad():
        [ours] = zoom([PillowImages(urls)[0]]).images
        [theirs] = by_hand._zoomed(PillowImages(urls)[0])

    assert (ours - theirs).abs().mean() < 0.02
