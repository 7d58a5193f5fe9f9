"""What ``foveal zoom`` writes is what the loader delivers."""

import io
import json
import math
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image

from foveal.pipeline import ZoomLoader
from foveal.sampler import (
    UniformSampler,
)
from foveal.shards import Shards, ShardWriter
from foveal.tools.offline.recipe import Recipe
from tests.checks import check_close
from tests.docs.blocks import python_blocks
from tests.pipeline.making import encode, picture
from tests.tools.offline.zooming import (
    RECIPE,
    labelled,
    pixels,
    rows_of,
    samples_of,
    spectral,
    write_originals,
    zoom,
)

pytestmark = pytest.mark.usefixtures("no_sheet")


def test_one_shard_in_one_shard_out(tmp_path):
    """Names, keys and order are the same, other members are bit-identical, and each image has its zoom.json."""
    urls = write_originals(tmp_path / "in")
    zoom(urls, tmp_path / "out")
    before, after = samples_of(tmp_path / "in"), samples_of(tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").glob("*.tar")) == ["s-0.tar", "s-1.tar", "s-2.tar"]
    assert [key for key, _ in after] == [key for key, _ in before]
    for (_, old), (_, new) in zip(before, after, strict=True):
        assert set(new) == (set(old) - {"jpg"}) | {"png", "zoom.json"}
        assert all(new[name] == old[name] for name in ("cls", "json", "mask.png", "bin"))
        assert pixels(new["png"]).shape == (24, 24, 3)


def test_members_named_as_webdataset_names_its_own(tmp_path):
    """A member such as ``0.__meta__`` is kept like any other."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write_members("0", {"jpg": encode(picture(0, 60, 90)), "__meta__": b"m"})
    zoom(str(tmp_path / "a.tar"), tmp_path / "out")

    [(key, members)] = samples_of(tmp_path / "out")
    assert (key, sorted(members)) == ("0", ["__meta__", "png", "zoom.json"])
    assert members["__meta__"] == b"m"


@pytest.mark.parametrize(
    ("image_format", "most", "mean"), [("png", 0.5, 0.3), ("npy", 0.5, 0.3), ("jpg", 24, 2), ("webp", 60, 6)]
)
def test_offline_is_online(tmp_path, image_format, most, mean):
    """Lossless images equal the loader's to 8-bit rounding, lossy ones within the codec's error."""
    urls = write_originals(tmp_path / "in", shards=2, samples=11)
    quality = {"quality": 95} if image_format in ("jpg", "webp") else {}
    zoom(urls, tmp_path / "out", Recipe(out_size=32, format=image_format, **quality))
    with ZoomLoader(urls, spectral(32), batch_size=7, fields=("image", "__key__")) as loader:
        online = torch.cat([images for images, _ in loader]).permute(0, 2, 3, 1).numpy() * 255
    read = np.load if image_format == "npy" else Image.open
    offline = np.stack(
        [np.asarray(read(io.BytesIO(members[image_format]))) for _, members in samples_of(tmp_path / "out")]
    )
    difference = np.abs(offline.astype(np.float64) - online)

    assert offline.dtype == np.uint8
    assert difference.max() <= most + 1e-3
    assert difference.mean() <= mean


def test_the_loader_reads_it_as_it_was(tmp_path):
    """A loader without a zoom delivers from zoomed shards what a zooming one delivers from the originals."""
    urls = write_originals(tmp_path / "in")
    zoom(urls, tmp_path / "out")
    with (
        ZoomLoader(urls, spectral(), batch_size=15) as online,
        ZoomLoader(str(tmp_path / "out/*.tar"), UniformSampler(24), batch_size=15) as offline,
    ):
        (first, labels), (second, same) = next(iter(online)), next(iter(offline))

    assert labels.tolist() == same.tolist() == list(range(15))
    assert (first - second).abs().max() <= 0.5 / 255 + 1e-6


def test_other_readers(tmp_path):
    """webdataset reads the samples, and so does DALI's reader with the index beside them."""
    ndd = pytest.importorskip("nvidia.dali.fn")
    from nvidia.dali import pipeline_def

    urls = write_originals(tmp_path / "in", shards=1)
    zoom(urls, tmp_path / "out", Recipe(out_size=24, format="jpg"))
    tar = str(tmp_path / "out/s-0.tar")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        theirs = [
            (s["__key__"], s["cls"], s["jpg"].shape, s["zoom.json"]["version"])
            for s in webdataset.WebDataset(tar, shardshuffle=False).decode("rgb")
        ]

    @pipeline_def(batch_size=5, num_threads=1, device_id=None)
    def read():
        image, label = ndd.readers.webdataset(
            paths=[tar], index_paths=[str(tmp_path / "out/s-0.idx")], ext=["jpg", "cls"]
        )
        return ndd.decoders.image(image), label

    pipe = read()
    pipe.build()
    images, labels = pipe.run()

    assert theirs == [(f"dir/{k:03d}", k, (24, 24, 3), 2) for k in range(5)]
    assert [bytes(np.array(label)) for label in labels] == [b"0", b"1", b"2", b"3", b"4"]
    assert [np.array(image).shape for image in images] == [(24, 24, 3)] * 5


def test_photos(tmp_path, data_dir):
    """All real photographs are written, in a fraction of the bytes."""
    zoom(str(data_dir / "photos/photos-000002.tar"), tmp_path / "out", Recipe(out_size=224))
    rows = rows_of(tmp_path / "out")

    assert Counter(row["status"] for row in rows) == {"ok": 10}
    assert Path(tmp_path / "out/photos-000002.tar").stat().st_size < 400_000


def test_decoded_no_larger_than_shown(tmp_path):
    """--decode auto gives the pixels of --decode dali without a bound, and nearly the same with one."""
    (tmp_path / "in").mkdir()
    with ShardWriter(tmp_path / "in" / "s-0.tar") as writer:
        for k in range(3):
            writer.write(labelled(k, jpg=encode(picture(k, 600, 800))))
    urls = str(tmp_path / "in" / "*.tar")
    for bound in (math.inf, 1.5):
        recipes = {
            mode: replace(RECIPE, out_size=64, max_zoom=bound, decode=mode) for mode in ("dali", "auto")
        }
        for mode, recipe in recipes.items():
            zoom(urls, tmp_path / f"{mode}-{bound}", recipe)
    unbound, bound = (
        [samples_of(tmp_path / f"{mode}-{bound}") for mode in ("dali", "auto")] for bound in (math.inf, 1.5)
    )

    assert unbound[0] == unbound[1]
    assert bound[0] != bound[1]
    for (key, full), (same_key, auto) in zip(*bound, strict=True):
        assert key == same_key
        assert np.abs(pixels(full["png"]).astype(int) - pixels(auto["png"])).mean() < 2
        assert json.loads(full["zoom.json"])["source_size"] == json.loads(auto["zoom.json"])["source_size"]


def test_shards_of_others(tmp_path, data_dir):
    """DALI's tar and webdataset's compressed one keep keys and labels."""
    for name in ("NVIDIA-aistore-single-png-cls.tar", "webdataset-webdataset-sample.tgz"):
        source = str(data_dir / "shards" / name)
        zoom(source, tmp_path / name, Recipe(out_size=16, format="npy"), max_bad_fraction=1.0)
        with Shards(source) as shards:
            before = [sample.key for sample in shards]

        assert [row["key"] for row in rows_of(tmp_path / name)] == before


def test_the_page(tmp_path, monkeypatch):
    """The example of docs/zoom.md runs."""
    page = (Path(__file__).parents[3] / "docs/zoom.md").read_text()
    [code] = python_blocks(page)
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "0013", "jpg": encode(picture(0, 480, 640))})
    zoom(str(tmp_path / "a.tar"), tmp_path / "zoomed", Recipe(saliency="uniform"))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "zoom.md", "exec"), names)

    expected = torch.tensor([[60, 80, 120, 150.0]]) / 224 * torch.tensor([640, 480] * 2)
    check_close(names["boxes"], expected, 0.05)


def test_the_check_of_closeness_can_fail():
    """The comparison fails for other pixels."""
    with pytest.raises(AssertionError):
        check_close(torch.zeros(2), torch.ones(2), 1e-3)
