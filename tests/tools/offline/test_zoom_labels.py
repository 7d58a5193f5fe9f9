"""Boxes, points and masks that ``foveal zoom`` warps and writes back."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from foveal.pipeline import Boxes, Mask, Points, ZoomLoader
from foveal.pipeline.fields.masks import run_lengths
from foveal.sampler import (
    ZoomRecord,
    unwarp_points,
)
from foveal.shards import ShardWriter
from foveal.tools.offline.recipe import Recipe
from tests.checks import check_close
from tests.pipeline.making import encode, npy, picture
from tests.tools.offline.zooming import (
    pixels,
    samples_of,
    spectral,
    write_originals,
    zoom,
)

pytestmark = pytest.mark.usefixtures("no_sheet")


LABELS = {"boxes": ("json:boxes",), "points": ("json:face.points",), "masks": ("mask.png",)}


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


def write_people(path):
    """Write an image with people: full boxes and heads, of which some are absent and some lie beside the image."""
    full = [[70, 20, 40, 100], None, [-500, 20, 40, 100], [130, 20, 40, 100], [190, 20, 40, 100]]
    heads = [[-500, 22, 10, 10], None, [-500, 22, 10, 10], [140, 22, 10, 10], None]
    people = [
        {"id": k, "full": a, "head": b, "joints": [10.0 * k, 5.0]}
        for k, (a, b) in enumerate(zip(full, heads, strict=True))
    ]
    rows = {"boxes": full, "heads": heads, "ids": [5, 6, 7, 8, 9]}
    with ShardWriter(path) as writer:
        writer.write(
            {"__key__": "a", "jpg": encode(picture(0, 256, 256)), "json": {"p": people}, "rows.json": rows}
        )
    return str(path)


PEOPLE = {"box_format": "xywh", "saliency": "uniform", "out_size": 64, "format": "png"}


@pytest.mark.parametrize("order", [("full", "head"), ("head", "full")])
def test_several_boxes_of_one_item(tmp_path, order):
    """Each box is written to its own item; an item goes if none of its boxes is left, and what is gone in others is null."""
    url = write_people(tmp_path / "a.tar")
    sources = tuple(f"json:p[].{name}" for name in order)
    zoom(url, tmp_path / "out", Recipe(**PEOPLE, boxes=sources, points=("json:p[].joints",)))
    [(_, members)] = samples_of(tmp_path / "out")
    people = {each["id"]: each for each in json.loads(members["json"])["p"]}
    kept = json.loads(members["zoom.json"])["kept"]

    assert list(people) == [0, 1, 3, 4]
    assert people[0] == {"id": 0, "full": [17.5, 5, 10, 25], "head": None, "joints": [0, 1.25]}
    assert people[1] == {"id": 1, "full": None, "head": None, "joints": [2.5, 1.25]}
    assert people[3] == {
        "id": 3, "full": [32.5, 5, 10, 25], "head": [35, 5.5, 2.5, 2.5], "joints": [7.5, 1.25],
    }  # fmt: skip
    assert people[4] == {"id": 4, "full": [47.5, 5, 10, 25], "head": None, "joints": [10, 1.25]}
    assert kept == {"json:p[].full": [0, 3, 4], "json:p[].head": [3]}
    for source, places in kept.items():
        assert len(Boxes(source, format="xywh").read(members, max_pixels=None).corners) == len(places)


def test_several_lists_of_boxes_with_the_same_labels(tmp_path):
    """Lists of boxes that share a list of labels are filtered with it; without labels each is filtered by itself."""
    url = write_people(tmp_path / "a.tar")
    sources = ("rows.json:boxes", "rows.json:heads")
    zoom(url, tmp_path / "together", Recipe(**PEOPLE, boxes=sources, box_labels=("ids",)))
    zoom(url, tmp_path / "apart", Recipe(**PEOPLE, boxes=sources))
    together, apart = (
        json.loads(samples_of(tmp_path / name)[0][1]["rows.json"]) for name in ("together", "apart")
    )

    full = [[17.5, 5, 10, 25], [32.5, 5, 10, 25], [47.5, 5, 10, 25]]
    head = [35, 5.5, 2.5, 2.5]
    assert together == {
        "boxes": full, "heads": [None, head, None], "ids": [5, 8, 9], "boxes_kept": [0, 3, 4], "heads_kept": [0, 3, 4],
    }  # fmt: skip
    assert apart == {
        "boxes": full, "heads": [head], "ids": [5, 6, 7, 8, 9], "boxes_kept": [0, 3, 4], "heads_kept": [3],
    }  # fmt: skip


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
