"""Files that an earlier version wrote are read, and mean the same (tests/golden/regenerate.py)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler, SpectralSaliency, UniformSampler, ZoomRecord
from foveal.shards import Shards
from foveal.shards.store import open_store
from foveal.tools.console.choose_zoom import choose_zoom
from foveal.tools.console.old_names import with_current_names
from foveal.tools.offline.manifest import read_manifest
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard_files import parse_table, read_stats, table_name
from tests.checks import check_close
from tests.golden.regenerate import SIDE, picture

GOLDEN = Path(__file__).parent / "golden"
NETWORKS = ("saliency_net", "njet", "spectral")
# What a fingerprint says of the machine that wrote it.
MACHINE = {"foveal", "decoder", "encoder"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a copy of the files, because a run that is resumed writes to its folder."""
    return shutil.copytree(GOLDEN / "written", tmp_path_factory.mktemp("before") / "written")


@pytest.fixture(scope="module")
def expected():
    with np.load(GOLDEN / "expected.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def from_checkpoint(path):
    given = SpectralSaliency((11, 13)) if path.stem == "spectral" else None
    return SaliencySampler.from_checkpoint(path, saliency=given).eval()


def copy_as_it_was(image, size):
    """Return the low-resolution copy of the earlier version, which interpolated small images and rounded."""
    dense = image.permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(dense, size, mode="bilinear", antialias=True) / 255


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_checkpoint_zooms_as_it_did(name, written, expected):
    """With the earlier low-resolution copy, saliency and grid are equal to rounding, and pixels differ as sampling does."""
    zoom = from_checkpoint(written / f"{name}.pt")
    image = torch.from_numpy(picture(0))
    zoomed = zoom([image], copy_as_it_was(image, zoom.lowres_size))

    check_close(zoomed.saliency, expected[f"{name}/saliency"], 1e-6)
    check_close(zoomed.grid, expected[f"{name}/grid"], 1e-5)
    assert (zoomed.images - expected[f"{name}/images"]).abs().mean() < 0.01


def test_the_comparison_can_fail(written, expected):
    """The zoom of another picture differs."""
    zoomed = from_checkpoint(written / "njet.pt")([torch.from_numpy(picture(1))])

    assert (zoomed.grid - expected["njet/grid"]).abs().max() > 1e-3
    assert (zoomed.images - expected["njet/images"]).abs().mean() > 0.02


@pytest.mark.parametrize("family", ["kernel", "separable", "cdf"])
def test_a_record_gives_the_same_grid(family, written, expected):
    """An old record gives the same grid, and is written with the same entries."""
    text = (written / f"{family}.zoom.json").read_text()
    record = ZoomRecord.from_json(json.loads(text))

    check_close(record.grid(), expected[f"{family}/record"], 1e-6)
    assert json.loads(text).items() <= record.to_json().items()


def test_weights_alone_make_the_same_network(written):
    """A file of weights alone, as for ``--saliency weights.pt``, makes the same network."""
    alone, whole = (
        choose_zoom(24, str(written / "weights.pt")).saliency,
        from_checkpoint(written / "saliency_net.pt").saliency,
    )
    small = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    alone.map_size = whole.map_size

    assert torch.equal(alone(small), whole(small))


def test_a_place_in_an_epoch_is_the_same_place(written):
    """An old state gives the rest of its epoch in the same order, and then the next epoch."""
    with ZoomLoader(
        str(written / "samples.tar"),
        UniformSampler(8),
        batch_size=3,
        shuffle=True,
        seed=5,
        fields=("image", "__key__"),
    ) as loader:
        loader.load_state_dict(json.loads((written / "state.json").read_text()))
        keys = [key for _ in range(2) for _, batch in loader for key in batch]

    assert keys == json.loads((GOLDEN / "expected.json").read_text())["keys"]


# A checkout does not keep the time of a tar, by which its index is known to be fresh.
@pytest.mark.filterwarnings("ignore:1 index file.s. beside a tar put aside:foveal.shards.ShardWarning")
def test_zoomed_shards_are_read(written):
    """Manifest, statistics, table, index and samples of an old folder are read."""
    store = open_store(str(written / "zoomed"), {})
    stats = read_stats(store, "samples.tar")
    table = parse_table(store.read(table_name("samples.tar")))
    zoomed = Shards(str(written / "zoomed" / "samples.tar"))

    assert read_manifest(store)["grid"] == "separable"
    assert (stats.samples, stats.ok, stats.failed) == (7, 7, {})
    assert [row.key for row in table] == [zoomed[k].key for k in range(7)]
    record = ZoomRecord.from_json(json.loads(zoomed[0].members["zoom.json"]))
    assert (record.source_size, record.out_size) == (SIDE, (16, 16))


def test_a_folder_of_zoomed_shards_goes_on(written):
    """The same settings have the same fingerprint, except for the machine and the frame of spectral saliency."""
    there = with_current_names(read_manifest(open_store(str(written / "zoomed"), {})))
    chosen = {"max_zoom": 4.0, "min_zoom": 0.5, "temperature": 0.25}
    recipe = Recipe(
        out_size=16,
        family="separable",
        boxes=("json:boxes",),
        decode=there["decode"],
        **chosen,
    )
    zoom = choose_zoom(16, "spectral", recipe)

    now = recipe.fingerprint(zoom, "cpu")
    assert now | dict.fromkeys(MACHINE) == {**there, "frame": "nodes"} | dict.fromkeys(MACHINE)
