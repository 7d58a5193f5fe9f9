"""foveal zoom reports labels that no option names, or leaves them out."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from foveal.shards import ShardWriter
from foveal.tools.offline._unwarped import Unwarped, unwarped, without
from foveal.tools.offline.recipe import Recipe
from tests.pipeline.fields import label_files as files
from tests.pipeline.fields.label_files import HEIGHT, WIDTH, js
from tests.pipeline.making import encode, npy, picture
from tests.tools.offline.zooming import RECIPE, samples_of, write_originals, zoom

SIZE = HEIGHT, WIDTH
IDS = np.zeros(SIZE, np.uint8)
COCO = {
    "image": {"height": HEIGHT, "width": WIDTH},
    "annotations": [{"bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 3, 4, 5, 6]], "keypoints": [1, 2, 2]}],
}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"json": js({"boxes": [[1, 2, 3, 4]], "labels": [1]})}, ["--boxes json:boxes"]),
        (
            {"coco.json": js(COCO)},
            [
                "--boxes 'coco.json:annotations[].bbox' --box-format xywh",
                "--mask 'coco.json:annotations[].segmentation'",
                "--points 'coco.json:annotations[].keypoints' --point-format xyv",
            ],
        ),
        (
            {"json": js({"annotations": [{"segmentation": [[1, 2, 3, 4, 5, 6]]}]})},
            ["--points 'json:annotations[].segmentation' --point-format xy"],
        ),
        ({"json": js({"annotations": [{"segmentation": {"counts": "a"}}]})}, ["--mask 'json:annotations[].segmentation'"]),
        ({"json": js({"mask": [[0, 1], [1, 1]]})}, ["cannot be warped as it is"]),
        ({"json": files.labelme()}, ["--points 'json:shapes[].points'"]),
        ({"json": js({"boxes": [], "mask": "a.png", "points": 3})}, []),
        ({"boxes.json": js([[1, 2, 3, 4]]), "json": js([[1, 2, 3, 4]])}, ["--boxes boxes.json"]),
        ({"keypoints.json": js([]), "points.json": js([{"points": [[1, 2]]}])}, ["--points 'points.json:[].points'"]),
        ({"json": b"{"}, []),
        ({"xml": files.voc()}, ["--boxes xml"]),
        ({"xml": b"<a/>"}, []),
        ({"txt": files.yolo()}, ["--boxes txt"]),
        ({"yolo.txt": b"0 .1 .1 .2 .1 .2 .2\n"}, ["--boxes yolo.txt --box-format xyxy (boxes take the place of polygons)"]),
        ({"txt": b"a picture of 5 dogs"}, []),
        ({"txt": b"1 2 3 4 5"}, []),
        ({"txt": b""}, []),
        ({"txt": b"\xff\xfe"}, []),
        ({"crack.png": encode(IDS, "PNG")}, ["--mask crack.png"]),
        ({"crack.png": encode(IDS[::2, ::2], "PNG")}, ["--mask crack.png"]),
        ({"crack.png": encode(np.dstack([IDS] * 3), "PNG")}, ["--mask crack.png"]),
        ({"m.jpg": encode(IDS)}, ["cannot be warped as it is: make it a png"]),
        ({"seg.png": encode(Image.new("RGB", (9, 9)), "PNG")}, ["--mask seg.png"]),
        ({"right.png": encode(picture(0, *SIZE), "PNG"), "icon.png": encode(IDS[:9], "PNG"), "bad.png": b""}, []),
        ({"npy": npy(IDS), "x.npy": npy(np.zeros(SIZE)), "boxes.npy": npy(np.zeros((2, 4)))}, ["--mask npy", "--boxes boxes.npy"]),
        ({"mask.npy": b"", "cls": b"3", "bin": b"1"}, ["--mask mask.npy"]),
        ({"zoom.json": js({"boxes": [1]})}, []),
    ],
)  # fmt: skip
def test_what_is_found(members, expected):
    """Labels are found by name or content, each with the option that warps it."""
    found = unwarped(members, SIZE, Recipe())

    assert [each.option for each in found] == expected


def test_what_is_warped_is_not_found():
    """Labels that an option names are not reported, also as alternatives."""
    members = {"json": js(COCO | {"boxes": [[1, 2, 3, 4]]}), "a.png": encode(IDS, "PNG")}
    recipe = Recipe(
        boxes=("jsn;json:boxes", "json:annotations[].bbox"),
        points=("json:annotations[].keypoints",),
        masks=("a.png",),
    )

    assert [each.source for each in unwarped(members, SIZE, recipe)] == ["json:annotations[].segmentation"]


def test_areas():
    """Areas beside boxes and masks are named, unless a mask that is written has them counted anew; others are not."""
    item = {"bbox": [1, 2, 3, 4], "segmentation": {"counts": "a"}, "area": 12.0}
    members = {"json": js({"annotations": [{"area": None}, item], "area": 3, "flats": [{"area": 70}]})}
    boxes = Recipe(boxes=("json:annotations[].bbox",), points=("json:annotations[].segmentation",))
    masks = Recipe(boxes=("json:annotations[].bbox",), masks=("json:annotations[].segmentation",))
    found = unwarped(members, SIZE, boxes)

    assert found == [Unwarped("json:annotations[].area", "cannot be warped as it is")]
    assert unwarped(members, SIZE, masks) == []
    assert b"12.0" not in without(members, found)["json"]


def test_parts_of_objects():
    """Elements with coordinates beside the boxes of Pascal VOC's objects are named where the boxes are warped, and left out alone."""
    part = b"<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    objects = files.voc().replace(b"</object>", part * 2 + b"<point><x>3</x></point></object>", 1)
    members = {"xml": objects, "b.xml": b"<"}
    found = unwarped(members, SIZE, Recipe(boxes=("xml", "b.xml")))

    assert found == [
        Unwarped("xml:object.part", "cannot be warped as it is"),
        Unwarped("xml:object.point", "cannot be warped as it is"),
    ]
    assert without(members, found) == {"xml": files.voc(), "b.xml": b"<"}
    assert unwarped({"xml": objects}, SIZE, Recipe()) == [Unwarped("xml", "--boxes xml")]
    assert unwarped({"xml": files.voc()}, SIZE, Recipe(boxes=("xml",))) == []


@pytest.mark.usefixtures("no_sheet")
def test_parts_are_dropped(tmp_path, capsys):
    """foveal zoom names parts of objects at the end, and leaves them out with --drop-labels; the boxes of objects are warped."""
    part = b"<part><bndbox><xmin>1</xmin></bndbox></part></object>"
    with ShardWriter(tmp_path / "in.tar") as writer:
        xml = files.voc().replace(b"</object>", part)
        writer.write({"__key__": "0", "png": encode(picture(0, *SIZE), "PNG"), "xml": xml})
    recipe = replace(RECIPE, boxes=("xml",))
    zoom(str(tmp_path / "in.tar"), tmp_path / "named", recipe)
    zoom(str(tmp_path / "in.tar"), tmp_path / "dropped", replace(recipe, drop_labels=True))

    assert capsys.readouterr().out.count("  xml:object.part  cannot be warped as it is\n") == 1
    [(_, named)], [(_, dropped)] = (samples_of(tmp_path / name) for name in ("named", "dropped"))
    assert (
        named["xml"].count(b"<part>")
        == named["xml"].count(b"<object>")
        == dropped["xml"].count(b"<object>")
        > 0
    )
    assert b"<part>" not in dropped["xml"]


def test_without_them():
    """Entries of JSON, and whole members that are labels, are removed."""
    members = {"json": js({"boxes": [[1, 2, 3, 4]], "labels": [1]}), "xml": files.voc(), "cls": b"3"}
    left = without(members, unwarped(members, SIZE, Recipe()))

    assert left == {"json": b'{"labels": [1]}', "cls": b"3"}
    assert without(members, [Unwarped("cls", "")]).keys() == {"json", "xml"}


@pytest.mark.usefixtures("no_sheet")
def test_they_are_named_at_the_end(tmp_path, capsys):
    """They are reported with their options at the end of each run, and in the card."""
    urls = write_originals(tmp_path / "in", shards=1, samples=2)
    recipe = replace(RECIPE, boxes=("json:boxes",))
    zoom(urls, tmp_path / "out", recipe)
    said = capsys.readouterr().out
    expected = (
        "These labels were copied unwarped, in the frame of the originals:\n"
        "  json:face.points  --points json:face.points\n"
        "  mask.png          --mask mask.png\n"
        "Zoom again with --overwrite, with these options, or with --drop-labels to leave them out.\n"
    )

    assert said.endswith(expected)
    zoom(urls, tmp_path / "out", recipe)
    assert capsys.readouterr().out.endswith(expected)
    card = (tmp_path / "out/README.md").read_text()
    assert "Still in the frame of the originals: `json:face.points`, `mask.png`." in card


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.parametrize("image_format", ["jpg", "png"])
def test_a_grey_zoomed_image_is_no_label(tmp_path, capsys, image_format):
    """A zoomed image that is as grey and as square as its original is not taken for a mask of it."""
    with ShardWriter(tmp_path / "in.tar") as writer:
        writer.write({"__key__": "0", "png": encode(picture(0, 60, 60)[..., 0], "PNG")})
    zoom(str(tmp_path / "in.tar"), tmp_path / "out", replace(RECIPE, format=image_format))

    assert "unwarped" not in capsys.readouterr().out


@pytest.mark.usefixtures("no_sheet")
def test_they_are_dropped(tmp_path, capsys):
    """With --drop-labels all labels except warped ones are left out; everything else is copied."""
    urls = write_originals(tmp_path / "in", shards=1, samples=2)
    zoom(urls, tmp_path / "out", replace(RECIPE, boxes=("json:boxes",), drop_labels=True))

    assert "unwarped" not in capsys.readouterr().out
    for _, members in samples_of(tmp_path / "out"):
        assert members.keys() == {"bin", "cls", "json", "png", "zoom.json"}
        assert json.loads(members["json"]).keys() == {"boxes", "boxes_kept", "names", "face"}
        assert json.loads(members["json"])["face"] == {}
