"""What ``foveal zoom`` writes is what the loader delivers."""

import io
import json
import math
import re
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image
from typer.testing import CliRunner

from foveal.pipeline import Boxes, Mask, Points, ZoomLoader
from foveal.pipeline.fields import encode_array
from foveal.pipeline.fields.masks import run_lengths
from foveal.sampler import (
    BoxSaliency,
    MapSaliency,
    PatchSampler,
    SaliencyNet,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    ZoomRecord,
    unwarp_points,
    zoom_grid,
)
from foveal.shards import Shards, ShardWriter
from foveal.tools._cli import app
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard_files import format_table, name_of_zoomed, parse_table
from foveal.tools.pictures.magnification import local_zoom
from tests.checks import check_close
from tests.pipeline.making import encode, npy, picture
from tests.tools.offline.zooming import (
    CUT,
    RECIPE,
    labelled,
    pixels,
    rows_of,
    samples_of,
    write_originals,
    zoom,
)

pytestmark = pytest.mark.usefixtures("no_sheet")
LABELS = {"boxes": ("json:boxes",), "points": ("json:face.points",), "masks": ("mask.png",)}


def spectral(size=24):
    return SaliencySampler(size, saliency=SpectralSaliency(), temperature=0.5).requires_grad_(False)


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


@pytest.mark.parametrize(
    ("image_format", "most", "mean"), [("png", 0.5, 0.3), ("npy", 0.5, 0.3), ("jpg", 24, 2), ("webp", 60, 6)]
)
def test_offline_is_online(tmp_path, image_format, most, mean):
    """Lossless images equal the loader's to 8-bit rounding, lossy ones within the codec's error."""
    urls = write_originals(tmp_path / "in", shards=2, samples=11)
    zoom(urls, tmp_path / "out", Recipe(out_size=32, format=image_format, quality=95))
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


def test_labels_follow(tmp_path):
    """Boxes, points and masks equal the loader's, and the rest of their JSON is kept."""
    urls = write_originals(tmp_path / "in", shards=1)
    zoom(urls, tmp_path / "out", Recipe(out_size=24, format="png", **LABELS))
    fields = ("image", Boxes("json:boxes"), Points("json:face.points"), Mask("mask.png"))
    with ZoomLoader(urls, spectral(), batch_size=5, fields=fields) as loader:
        _, (boxes, kept), points, masks = next(iter(loader))

    for k, (_, members) in enumerate(samples_of(tmp_path / "out")):
        label = json.loads(members["json"])
        check_close(torch.tensor(label["boxes"]), boxes[k], 1e-4)
        assert (
            label["boxes_kept"]
            == kept[k].tolist()
            == json.loads(members["zoom.json"])["kept"]["json:boxes"]
            == [0, 2]
        )
        check_close(torch.tensor(label["face"]["points"]), points[k], 1e-4)
        assert label["names"] == ["a", "gone", "c"]
        assert np.array_equal(pixels(members["mask.png"]), masks[k].numpy())


@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("kind", ["json", "npy"])
def test_boxes_come_out_as_they_went_in(tmp_path, box_format, kind):
    """Boxes are written in the format and member of the originals."""
    rows = np.array([[10, 12, 20, 30], [40, 20, 48, 28]], np.float32)
    low, high = rows[:, :2], rows[:, 2:]
    given = {
        "xyxy": rows,
        "xywh": np.hstack([low, high - low]),
        "cxcywh": np.hstack([(low + high) / 2, high - low]),
    }[box_format]
    buffer = io.BytesIO()
    np.save(buffer, given)
    member = given.tolist() if kind == "json" else buffer.getvalue()
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "a", "jpg": encode(picture(0, 48, 64)), f"boxes.{kind}": member})
    recipe = Recipe(
        out_size=24, format="png", saliency="uniform", boxes=(f"boxes.{kind}",), box_format=box_format
    )
    zoom(str(tmp_path / "a.tar"), tmp_path / "out", recipe)
    [(_, members)] = samples_of(tmp_path / "out")
    file = members[f"boxes.{kind}"]
    out = np.load(io.BytesIO(file)) if kind == "npy" else np.array(json.loads(file))

    check_close(
        torch.from_numpy(out).double(),
        torch.from_numpy(given).double() * torch.tensor([24 / 64, 0.5] * 2),
        1e-3,
    )


def test_masks_come_out_as_they_went_in(tmp_path):
    """Masks are written as colours, indices with palette, arrays or polygons, as the originals."""
    ids = np.zeros((48, 64), np.uint8)
    ids[10:30, 20:50], ids[24:44, :30] = 1, 2
    colours = np.array([[0, 0, 0], [255, 0, 0], [9, 9, 9]], np.uint8)
    indexed = Image.frombytes("P", (64, 48), ids.tobytes())
    indexed.putpalette(colours.tobytes())
    polygon = [20, 10, 50, 10, 50, 30]
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write(
            {
                "__key__": "a",
                "jpg": encode(picture(0, 48, 64)),
                "rgb.png": encode(colours[ids], "PNG"),
                "index.png": encode(indexed, "PNG"),
                "npy": npy(ids.astype(np.int16) - 1),
                "json": {"a": [{"bbox": [20, 10, 30, 20], "segmentation": [polygon], "id": 5}]},
                "rle.json": {"a": [{"s": run_lengths(ids == 1)}, {"s": run_lengths(ids > 0)}]},
            }
        )
    recipe = Recipe(
        out_size=24,
        format="png",
        saliency="uniform",
        masks=("rgb.png", "index.png", "npy", "rle.json:a[].s"),
        points=("json:a[].segmentation",),
        point_format="xy",
        boxes=("json:a[].bbox",),
        box_format="xywh",
    )
    zoom(str(tmp_path / "a.tar"), tmp_path / "out", recipe)
    [(_, members)] = samples_of(tmp_path / "out")
    rows, cols = ((np.arange(24) + 0.5) / 24 * [[48], [64]]).astype(int)
    seen = ids[np.ix_(rows, cols)]

    assert np.array_equal(pixels(members["rgb.png"]), colours[seen])
    assert np.array_equal(pixels(members["index.png"]), seen)
    assert Image.open(io.BytesIO(members["index.png"])).getpalette() == colours.ravel().tolist()
    array = np.load(io.BytesIO(members["npy"]))
    assert array.dtype == np.int16
    assert np.array_equal(array, seen.astype(int) - 1)
    assert json.loads(members["rle.json"]) == {
        "a": [{"s": run_lengths(seen == 1)}, {"s": run_lengths(seen > 0)}]
    }
    [item] = json.loads(members["json"])["a"]
    assert item == {"bbox": [7.5, 5, 11.25, 10], "segmentation": [[7.5, 5, 18.75, 5, 18.75, 15]], "id": 5}


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


def test_predictions_go_back_to_the_original(tmp_path):
    """The zoom.json of a sample is enough to bring predictions back."""
    urls = write_originals(tmp_path / "in", shards=1)
    zoom(
        urls,
        tmp_path / "out",
        Recipe(out_size=64, format="png", family="separable", points=("json:face.points",)),
    )
    for _, members in samples_of(tmp_path / "out"):
        record = ZoomRecord.from_json(json.loads(members["zoom.json"]))
        seen = torch.tensor(json.loads(members["json"])["face"]["points"])
        [found] = unwarp_points([seen], record.grid(), record.source_size)

        check_close(found, torch.tensor([[3.0, 4.0], [20.0, 30.0]]), 0.01)
        assert len(members["zoom.json"]) < 6000


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
    with pytest.raises(ValueError, match=r"saliency must be the state_dict of a SaliencyNet"):
        zoom(urls, tmp_path / "other", Recipe(saliency=str(tmp_path / "module.pt")))


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


def test_every_sample_is_accounted_for(tmp_path):
    """Samples that cannot be zoomed are in the table with their reason, and all others are written."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write(labelled(0))
        writer.write(labelled(1, jpg=CUT))
        writer.write({"__key__": "none", "cls": 1})
        writer.write(labelled(3, jpg=encode(picture(3, 600, 800))))
        writer.write(labelled(4, json={"boxes": 3}))
        writer.write(labelled(5))
    with ShardWriter(tmp_path / "b.tar") as writer:
        writer.write(labelled(6, jpg=b""))
    recipe = Recipe(out_size=24, format="png", boxes=("json:boxes",), max_pixels=250_000)
    zoom(str(tmp_path / "?.tar"), tmp_path / "out", recipe, max_bad_fraction=1.0)
    rows = rows_of(tmp_path / "out")
    stats = [json.loads((tmp_path / f"out/{name}_stats.json").read_text()) for name in "ab"]

    assert [row["status"] for row in rows] == [
        "ok",
        "corrupt",
        "missing_member",
        "too_large",
        "bad_label",
        "ok",
        "corrupt",
    ]
    assert [row["key"] for row in rows] == [
        "dir/000",
        "dir/001",
        "none",
        "dir/003",
        "dir/004",
        "dir/005",
        "dir/006",
    ]
    assert "image is cut: after 9000 bytes there is no end mark" in rows[1]["reason"]
    assert rows[0]["size"] == [60, 90]
    assert rows[2]["sha256"] is None
    assert len(rows[3]["sha256"]) == 64
    assert [key for key, _ in samples_of(tmp_path / "out")] == ["dir/000", "dir/005"]
    assert [(s["samples"], s["ok"]) for s in stats] == [(6, 2), (1, 0)]
    assert stats[0]["failed"] == {"bad_label": 1, "corrupt": 1, "missing_member": 1, "too_large": 1}
    assert json.loads((tmp_path / "out/sizes.json").read_text()) == {"a.tar": 2, "b.tar": 0}


def test_a_table_of_an_older_version():
    """A table of an older version is read."""
    text = (
        b'{"key": "a", "status": "ok", "reason": null, "size": [60, 90], "sha256": "0f", "zoom": [2.5, 0.5], "bytes": 9}\n'
        b'{"key": "b", "status": "too_large", "reason": "image has more pixels than max_pixels=5: 2 \\u00d7 3 pixels '
        b'(height \\u00d7 width)", "size": null, "sha256": "1f", "zoom": null, "bytes": 0}\n'
    )

    assert [(row.status, row.size, row.zoom) for row in parse_table(text)] == [
        ("ok", (60, 90), (2.5, 0.5)),
        ("too_large", None, None),
    ]
    assert format_table(parse_table(text)) == text


def test_zoom_statistics(tmp_path):
    """Each row has the magnification of the loader's grid."""
    urls = write_originals(tmp_path / "in", shards=1)
    zoom(urls, tmp_path / "out")
    with ZoomLoader(urls, spectral(), batch_size=5, fields=("image", "__grid__")) as loader:
        [(_, grids)] = loader

    assert [row["zoom"] for row in rows_of(tmp_path / "out")] == [
        pytest.approx(local_zoom(grid.numpy())) for grid in grids
    ]


def test_keys_that_come_twice(tmp_path):
    """Samples with the same key stay separate; if all samples between them failed, the second is left out."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        for key, image in (
            ("a", encode(picture(0, 40, 60))),
            ("b", CUT),
            ("a", encode(picture(1, 40, 60))),
            ("c", encode(picture(2, 40, 60))),
            ("a", encode(picture(3, 40, 60))),
        ):
            writer.write({"__key__": key, "jpg": image, "cls": 1})
    zoom(str(tmp_path / "a.tar"), tmp_path / "out", max_bad_fraction=1.0)

    assert [(row["key"], row["status"]) for row in rows_of(tmp_path / "out")] == [
        ("a", "ok"),
        ("b", "corrupt"),
        ("a", "duplicate_key"),
        ("c", "ok"),
        ("a", "ok"),
    ]
    assert [key for key, _ in samples_of(tmp_path / "out")] == ["a", "c", "a"]


def test_the_names_of_shards():
    """Zoomed shards have the names of their originals, whatever storage and compression."""
    assert name_of_zoomed("a/b-0.tar") == "b-0.tar"
    assert name_of_zoomed("file:///a/b.tar.gz") == "b.tar"
    assert name_of_zoomed("s3://bucket/x/b.tgz") == "b.tar"
    assert name_of_zoomed("https://host/x/b%20c.tar?sig=1/2") == "b c.tar"
    assert name_of_zoomed("a/shard") == "shard.tar"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"saliency": "boxes"},
            "boxes must be given with saliency='boxes', got none – add --boxes json:boxes.",
        ),
        (
            {"masks": ("mask.jpg",)},
            "mask must be a png or npy member, which keeps class ids as they are, or a place in a json member, got 'mask.jpg'.",
        ),
        (
            {"boxes": ("json:a", "json:a")},
            "boxes, points and masks must be named once each, got ('json:a', 'json:a').",
        ),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    """Contradicting settings are refused before anything is read."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe(**settings)


def test_two_shards_of_one_name(tmp_path):
    """Two shards of one name are refused, because one would overwrite the other."""
    for folder in ("x", "y"):
        write_originals(tmp_path / folder, shards=1)

    with pytest.raises(
        ValueError,
        match=r"urls must be of shards with different names, got '.*x/s-0.tar' and '.*y/s-0.tar' – zoom them into",
    ):
        zoom(f"{tmp_path}/x/s-0.tar::{tmp_path}/y/s-0.tar", tmp_path / "out")


def test_names_that_are_taken(tmp_path):
    """A member with the new image's name, and shards that are zoomed already, are refused, and no file is left."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "k", "jpg": encode(picture(0, 40, 60)), "png": b"something"})
    with pytest.raises(
        ValueError,
        match=r"format must be one whose name no other member has, got 'png', and there is another png for 'k' of .*a.tar – choose",
    ):
        zoom(str(tmp_path / "a.tar"), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json"]
    zoom(str(tmp_path / "a.tar"), tmp_path / "once", Recipe(out_size=24, format="jpg"))
    with pytest.raises(
        ValueError, match=r"urls must be of shards that are not zoomed yet, got one with zoom.json for 'k' of"
    ):
        zoom(str(tmp_path / "once/a.tar"), tmp_path / "twice", Recipe(out_size=8, format="jpg"))


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
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "0013", "jpg": encode(picture(0, 480, 640))})
    zoom(str(tmp_path / "a.tar"), tmp_path / "zoomed", Recipe(saliency="uniform"))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "zoom.md", "exec"), names)

    expected = torch.tensor([[60, 80, 120, 150.0]]) / 224 * torch.tensor([640, 480] * 2)
    check_close(names["boxes"], expected, 0.05)


def test_uniform(tmp_path):
    """With --saliency uniform, the record is that of a uniform resize."""
    urls = write_originals(tmp_path / "in", shards=1, samples=2)
    zoom(urls, tmp_path / "out", Recipe(out_size=24, format="png", saliency="uniform"))
    for _, members in samples_of(tmp_path / "out"):
        record = ZoomRecord.from_json(json.loads(members["zoom.json"]))

        check_close(record.grid(), zoom_grid(torch.ones(1, 1, 5, 5), (24, 24)), 1e-6)


def test_the_check_of_closeness_can_fail():
    """The comparison fails for other pixels."""
    with pytest.raises(AssertionError):
        check_close(torch.zeros(2), torch.ones(2), 1e-3)


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
        ({"max_zoom": 2.0}, "max_zoom must be None with patches, got 2.0 – patches are cut out, not zoomed."),
    ],
)
def test_what_patches_cannot(settings, message):
    """Options that do not go with patches are refused with their values."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe(patches=3, **settings)
