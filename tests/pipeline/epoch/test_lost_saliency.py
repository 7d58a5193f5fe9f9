"""A saliency network that diverged ends an epoch with an error, and no shard is written."""

import re

import pytest
import torch

from foveal.pipeline import Boxes, ZoomLoader
from foveal.sampler import SaliencyNet, SaliencySampler
from foveal.shards import ShardWriter
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.zoom import RunOptions, zoom_shards
from tests.pipeline.making import encode, picture


@pytest.fixture
def shard(tmp_path):
    """Return a shard of three pictures with boxes."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(3):
            writer.write(
                {"__key__": f"k{k}", "jpg": encode(picture(k, 60, 90)), "json": {"boxes": [[1, 2, 30, 40]]}}
            )
    return str(tmp_path / "s.tar")


@pytest.fixture
def diverged():
    zoom = SaliencySampler(16, saliency=SaliencyNet())
    with torch.no_grad():
        zoom.saliency.detail.weight[0, 3] = torch.nan
    return zoom


@pytest.mark.parametrize("trains", [True, False])
def test_the_loader_names_network_and_keys(shard, diverged, trains):
    """The error names network and samples, also if labels follow the grid, and if the network trains."""
    message = "saliency must be finite, got NaN or infinite logits from SaliencyNet for k0, k1 – its weights have diverged"
    fields = ("image", Boxes("json:boxes"))
    zoom = diverged.requires_grad_(trains)
    with (
        ZoomLoader(shard, zoom, batch_size=2, fields=fields) as loader,
        pytest.raises(ValueError, match=f"^{re.escape(message)}"),
    ):
        list(loader)


def test_nothing_is_written_as_ok(shard, diverged, tmp_path):
    """foveal zoom writes no shard, however often it is run."""
    diverged.save_checkpoint(tmp_path / "net.pt")
    recipe = Recipe(out_size=16, saliency=str(tmp_path / "net.pt"))
    for _ in range(2):
        with pytest.raises(ValueError, match=re.escape("saliency must be finite, got NaN")):
            zoom_shards([shard], recipe, out=str(tmp_path / "out"), options=RunOptions(device="cpu"))

        assert not list((tmp_path / "out").glob("*_stats.json"))
        assert not list((tmp_path / "out").glob("*.tar"))
