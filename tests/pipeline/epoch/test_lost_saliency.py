"""A saliency network that diverged is an error wherever it zooms, and no shard is written."""

import re

import pytest
import torch

from foveal.pipeline import Boxes, ZoomCollate, ZoomLoader
from foveal.sampler import MixedResolution, PatchSampler, SaliencyNet, SaliencySampler
from foveal.shards import Shards, ShardWriter
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.zoom import RunOptions, zoom_shards
from foveal.tools.pictures.view_row import view_row
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


@pytest.mark.parametrize(
    "zoom",
    [
        SaliencySampler(16, saliency=SaliencyNet()),
        PatchSampler(2, 16, lowres_size=64),
        MixedResolution(4, patch_size=16, refined=2, saliency=SaliencyNet()),
    ],
)
def test_a_batch_that_is_collated(zoom):
    """ZoomCollate raises, too, and names the places of the images."""
    with torch.no_grad():
        next(zoom.parameters()).fill_(torch.nan)
    images = [(encode(picture(k, 60, 90)), k) for k in range(2)]
    with pytest.raises(
        ValueError, match=r"^saliency must be finite, got NaN .* for samples\[0\], samples\[1\] –"
    ):
        ZoomCollate(zoom)(images)


def test_a_picture_of_samples(shard, diverged):
    """A sheet of samples is not drawn; the error names the sample."""
    with pytest.raises(ValueError, match=r"^saliency must be finite, got NaN .* SaliencyNet for k1 –"):
        view_row(Shards(shard), 1, diverged, None)


def test_nothing_is_written_as_ok(shard, diverged, tmp_path):
    """foveal zoom writes no shard, however often it is run."""
    diverged.save_checkpoint(tmp_path / "net.pt")
    recipe = Recipe(out_size=16, saliency=str(tmp_path / "net.pt"))
    for _ in range(2):
        with pytest.raises(ValueError, match=re.escape("saliency must be finite, got NaN")):
            zoom_shards([shard], recipe, out=str(tmp_path / "out"), options=RunOptions(device="cpu"))

        assert not list((tmp_path / "out").glob("*_stats.json"))
        assert not list((tmp_path / "out").glob("*.tar"))
