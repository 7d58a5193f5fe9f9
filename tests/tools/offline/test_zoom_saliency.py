"""What decides where ``foveal zoom`` zooms: boxes, maps, weights, nothing, or the choice of patches."""

import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from foveal.pipeline import ZoomLoader
from foveal.pipeline.fields import encode_array
from foveal.sampler import (
    BoxSaliency,
    MapSaliency,
    PatchSampler,
    SaliencyNet,
    SaliencySampler,
    SpectralSaliency,
    ZoomRecord,
    zoom_grid,
)
from foveal.shards import Shards, ShardWriter
from foveal.tools._cli import app
from foveal.tools.offline.recipe import Recipe
from tests.checks import check_close
from tests.pipeline.making import encode, picture
from tests.tools.offline.zooming import (
    rows_of,
    samples_of,
    write_originals,
    zoom,
)

pytestmark = pytest.mark.usefixtures("no_sheet")


def test_boxes_as_saliency(tmp_path):
    """--saliency boxes reads boxes in their own format."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "a", "jpg": encode(picture(0, 48, 64)), "json": {"b": [[40, 20, 8, 8]]}})
    recipe = Recipe(
        out_size=24, format="png", saliency="boxes", boxes=("json:b",), box_format="xywh", temperature=1.0
    )
    zoom(str(tmp_path / "a.tar"), tmp_path / "out", recipe)
    [(_, members)] = samples_of(tmp_path / "out")
    sampler = SaliencySampler(24, saliency=BoxSaliency())
    [expected] = sampler(
        torch.zeros(1, 3, 48, 64), boxes=[torch.tensor([[40 / 64, 20 / 48, 48 / 64, 28 / 48]])]
    ).grid

    check_close(ZoomRecord.from_json(json.loads(members["zoom.json"])).grid()[0], expected, 1e-5)


def test_a_member_as_saliency(tmp_path):
    """The map of each sample decides where to zoom, is copied, and is part of the fingerprint."""
    weights = np.random.default_rng(0).random((14, 14)).astype(np.float32)
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write(
            {"__key__": "a", "jpg": encode(picture(0, 48, 64)), "attention.npy": encode_array(weights)}
        )
    arguments = ["zoom", str(tmp_path / "a.tar"), "--out", str(tmp_path / "out"), "--out-size", "24"]
    done = CliRunner().invoke(app, [*arguments, "--saliency-member", "attention.npy", "--fwhm-cells", "6"])
    assert done.exit_code == 0, done.output
    [(_, members)] = samples_of(tmp_path / "out")
    sampler = SaliencySampler(24, saliency=MapSaliency(), temperature=0.5, max_zoom=4.0, fwhm_cells=6.0)
    [expected] = sampler(torch.zeros(1, 3, 48, 64), maps=[torch.from_numpy(weights)]).grid
    fingerprint = json.loads((tmp_path / "out" / "manifest.json").read_text())["fingerprint"]

    check_close(ZoomRecord.from_json(json.loads(members["zoom.json"])).grid()[0], expected, 1e-5)
    assert members["attention.npy"] == encode_array(weights)
    assert (fingerprint["saliency"], fingerprint["saliency_member"]) == ("map", "attention.npy")
    assert fingerprint["fwhm_cells"] == 6.0


def test_a_map_needs_its_member():
    """A map needs --saliency-member, which excludes other saliency."""
    for given in ({"saliency": "map"}, {"saliency": "boxes", "boxes": ("json:b",), "saliency_member": "npy"}):
        with pytest.raises(
            ValueError, match="saliency_member must be given with saliency='map' and with no other"
        ):
            Recipe(**given)


def test_weights(tmp_path):
    """A file of weights is loaded safely, and the manifest has its hash."""
    urls = write_originals(tmp_path / "in", shards=1)
    torch.manual_seed(1)
    net = SaliencyNet()
    torch.nn.init.normal_(list(net.parameters())[-2], std=3)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    zoom(
        urls,
        tmp_path / "out",
        Recipe(out_size=24, format="npy", saliency=str(tmp_path / "net.pt"), temperature=0.3),
    )
    sampler = SaliencySampler(24, saliency=net, temperature=0.3, max_zoom=4.0).eval().requires_grad_(False)
    with ZoomLoader(urls, sampler, batch_size=5) as loader:
        [(online, _)] = loader
    offline = np.stack([np.load(io.BytesIO(members["npy"])) for _, members in samples_of(tmp_path / "out")])
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())["fingerprint"]

    assert np.abs(offline - online.permute(0, 2, 3, 1).numpy() * 255).max() <= 0.5 + 1e-3
    assert manifest["saliency"] == "weights"
    assert re.fullmatch("[0-9a-f]{64}", manifest["weights"])
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pt")
    with pytest.raises(
        ValueError, match=r"saliency must be a file that torch.save wrote, with weights alone"
    ):
        zoom(urls, tmp_path / "other", Recipe(saliency=str(tmp_path / "module.pt")))


def test_uniform(tmp_path):
    """With --saliency uniform, the record is that of a uniform resize."""
    urls = write_originals(tmp_path / "in", shards=1, samples=2)
    zoom(urls, tmp_path / "out", Recipe(out_size=24, format="png", saliency="uniform"))
    for _, members in samples_of(tmp_path / "out"):
        record = ZoomRecord.from_json(json.loads(members["zoom.json"]))

        check_close(record.grid(), zoom_grid(torch.ones(1, 1, 5, 5), (24, 24)), 1e-6)


@pytest.mark.parametrize("image_format", ["png", "npy"])
def test_patches(tmp_path, image_format):
    """K patches of each image equal the loader's, with their positions; other members are copied."""
    urls = write_originals(tmp_path / "in", shards=1)
    zoom(urls, tmp_path / "out", Recipe(out_size=16, patches=3, format=image_format))
    sampler = (
        PatchSampler(3, 16, score=SpectralSaliency((16, 16), frame="cells")).eval().requires_grad_(False)
    )
    with ZoomLoader(urls, sampler, batch_size=5) as loader, Shards(urls) as shards:
        [(online, _)] = loader
        originals = [sample.members for sample in shards]
    read = np.load if image_format == "npy" else Image.open
    for k, (_, members) in enumerate(samples_of(tmp_path / "out")):
        record = json.loads(members["zoom.json"])
        offline = np.stack([np.asarray(read(io.BytesIO(members[f"{n}.{image_format}"]))) for n in range(3)])

        assert np.array_equal(offline, np.rint(online[k].permute(0, 2, 3, 1).numpy() * 255))
        assert record["source_size"] == [60 + 3 * k, 90 + 2 * k]
        assert [[x1 - x0, y1 - y0] for x0, y0, x1, y1 in record["patches"]] == [[16, 16]] * 3
        assert all(members[name] == originals[k][name] for name in ("cls", "json", "mask.png", "bin"))
    assert [row["zoom"] for row in rows_of(tmp_path / "out")] == [None] * 5


def test_patches_by_a_trained_scorer(tmp_path):
    """Weights of a ScoreNet are loaded, alone or as a part of a sampler."""
    urls = write_originals(tmp_path / "in", shards=1, samples=2)
    torch.manual_seed(0)
    trained = PatchSampler(2, 16)
    torch.save(trained.state_dict(), tmp_path / "patches.pt")
    zoom(
        urls,
        tmp_path / "out",
        Recipe(out_size=16, patches=2, format="npy", saliency=str(tmp_path / "patches.pt")),
    )
    with ZoomLoader(urls, trained.eval().requires_grad_(False), batch_size=2) as loader:
        [(online, _)] = loader
    for k, (_, members) in enumerate(samples_of(tmp_path / "out")):
        assert np.array_equal(
            np.load(io.BytesIO(members["1.npy"])), np.rint(online[k, 1].permute(1, 2, 0).numpy() * 255)
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"boxes": ("json:b",)},
            "boxes must be empty with patches, got ('json:b',) – labels are not warped into patches.",
        ),
        (
            {"saliency": "uniform"},
            "saliency must be spectral or the weights of a ScoreNet with patches, got 'uniform'.",
        ),
        *(
            (
                {name: value},
                f"{name} must be None with patches, got {value!r} – patches are cut out, not zoomed;",
            )
            for name, value in {
                "max_zoom": 2.0,
                "min_zoom": 0.5,
                "family": "cdf",
                "temperature": 0.25,
                "fwhm_cells": 5.0,
            }.items()
        ),
    ],
)
def test_what_patches_cannot(settings, message):
    """Options that do not go with patches are refused with their values."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe(patches=3, **settings)


@pytest.mark.parametrize("name", ["max_zoom", "min_zoom", "temperature"])
def test_what_a_uniform_resize_cannot(tmp_path, name):
    """Settings of a zoom are refused with a uniform resize, before anything is written."""
    urls = write_originals(tmp_path / "in", shards=1, samples=2)
    with pytest.raises(
        ValueError, match=f"{name} must be None with saliency='uniform', got 1.0 – a uniform resize"
    ):
        zoom(urls, tmp_path / "out", Recipe(saliency="uniform", **{name: 1.0}))
    assert not any((tmp_path / "out").iterdir())
