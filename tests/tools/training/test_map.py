"""Training a saliency network that gets a map with each sample."""

import json
import re

import pytest
import torch

from foveal.pipeline.fields import encode_array
from foveal.sampler import MapChannelSaliency, MapSaliency, PriorSaliency, SaliencySampler, ZoomRecord
from foveal.shards import Shards, ShardWriter
from foveal.tools import TrainOptions
from tests.checks import check_close
from tests.pipeline.making import encode, picture
from tests.tools import command_line

pytestmark = pytest.mark.usefixtures("no_sheets", "no_sheet")


def attention(k):
    return torch.rand(6, 8, generator=torch.Generator().manual_seed(k))


@pytest.fixture
def with_maps(tmp_path):
    with ShardWriter(tmp_path / "train.tar") as writer:
        for k in range(8):
            rows = {"attention.npy": encode_array(attention(k).numpy())}
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 50, 60)), "cls": k % 2, **rows})
    return tmp_path / "train.tar"


def test_trained_and_zoomed_by_the_map_of_each_sample(with_maps, tmp_path):
    """On the command line, the trained zoom names the member, and `foveal zoom` passes it."""
    run = ["train", with_maps, "--out", tmp_path / "run", "--out-size", 16, "--epochs", 1, "--batch-size", 4]
    kept = ["--trial", 0]  # so few steps say nothing of what the zoom brings
    done = command_line.run(
        *run, *kept, "--saliency-member", "attention.npy", "--prior", "map", "--hflip", 0.5
    )
    assert done.exit_code == 0, done.exception
    checkpoint = tmp_path / "run" / "saliency.pt"
    offline = ["zoom", with_maps, "--out", tmp_path / "out", "--saliency", checkpoint, "--out-size", 16]
    done = command_line.run(*offline)
    assert done.exit_code == 0, done.exception
    zoom = SaliencySampler.from_checkpoint(checkpoint).eval()
    with Shards(str(tmp_path / "out" / "train.tar")) as shards:
        records = [ZoomRecord.from_json(json.loads(sample.members["zoom.json"])) for sample in shards]

    assert bool(zoom.saliency.network.network.head.weight.any())
    assert len(records) == 8
    plain = SaliencySampler(16, saliency=MapSaliency(floor=0.1))
    for k, record in enumerate(records):  # after two steps the zoom is still close to the map
        check_close(record.grid(), plain(torch.zeros(1, 3, 50, 60), maps=[attention(k)]).grid, 0.1)


@pytest.mark.parametrize(("prior", "kind"), [("spectral", PriorSaliency), ("none", MapChannelSaliency)])
def test_other_priors(prior, kind):
    """The network gets the map with any prior."""
    saliency = TrainOptions(saliency_member="heat.png", prior=prior).make_zoom().saliency

    assert type(saliency) is kind
    assert saliency.maps_from == "heat.png"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prior": "map"},
            "saliency_member must be given with prior='map', got None – name the map of each sample, e.g. attention.npy.",
        ),
        (
            {"saliency_member": "a.npy", "boxes": "json:boxes"},
            "saliency_member must be None with boxes='json:boxes', got 'a.npy' – leave one of the two out.",
        ),
        (
            {"saliency_member": "a.npy", "zoom": "uniform"},
            "saliency_member must be None with zoom='uniform', got 'a.npy' – leave one of the two out.",
        ),
    ],
)
def test_options_that_do_not_go_together(options, message):
    """Contradicting options are refused by name."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TrainOptions(**options)
