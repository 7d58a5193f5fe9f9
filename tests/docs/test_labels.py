"""Each row of the tables on the page on labels is tried on a file that is written here."""

import json
import re
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from foveal.pipeline import Boxes, InstanceMasks, Mask, Points, ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import ShardWriter
from tests.docs.blocks import python_blocks
from tests.pipeline.fields import label_files as files
from tests.pipeline.fields.label_files import CORNERS, HEIGHT, IDS, NAMES, WIDTH, xywh
from tests.pipeline.making import encode, npy, picture

PAGE = (Path(__file__).parents[2] / "docs" / "labels.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| `((?:Boxes|Points|Mask|InstanceMasks)\(.+?\))` \|", PAGE, re.MULTILINE)
FRACTIONS = np.array(CORNERS) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
POLYGONS = [[x0, y0, x1, y0, x1, y1, x0, y1] for x0, y0, x1, y1 in CORNERS]
PAIRS = [np.reshape(each, (4, 2)).tolist() for each in POLYGONS]
POINTS = [[6.0, 8], [36, 28]]


def painted(ids, background=0) -> np.ndarray:
    """Return the boxes as a mask, later ones over earlier ones."""
    mask = np.full((HEIGHT, WIDTH), background)
    for number, (x0, y0, x1, y1) in zip(ids, CORNERS, strict=True):
        mask[y0:y1, x0:x1] = number
    return mask


def coco(**more):
    items = [
        {"bbox": xywh(box), "category_id": number, "iscrowd": int(k == 2), "segmentation": [polygon]}
        for k, (box, number, polygon) in enumerate(zip(CORNERS, IDS, POLYGONS, strict=True))
    ]
    return {"json": json.dumps({"annotations": [item | more for item in items]})}


def labelme():
    shapes = [
        {"label": name, "shape_type": "polygon", "points": pairs}
        for name, pairs in zip(NAMES, PAIRS, strict=True)
    ]
    return {"json": json.dumps({"shapes": shapes, "imageHeight": HEIGHT, "imageWidth": WIDTH})}


def run_lengths(mask) -> dict:
    changes = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0)).tolist()
    return {
        "size": [HEIGHT, WIDTH],
        "counts": np.diff([0, *changes, mask.size]).tolist(),
    }


def npz(**arrays) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def yolo_polygons() -> bytes:
    lines = (
        f"{number} {' '.join(f'{x / WIDTH} {y / HEIGHT}' for x, y in pairs)}"
        for number, pairs in zip([0, 1, 0], PAIRS, strict=True)
    )
    return "\r\n".join(lines).encode()


CLASSES = painted([1, 2, 1]).astype(np.uint8)
EACH = np.zeros((3, HEIGHT, WIDTH))
for mask, (x0, y0, x1, y1) in zip(EACH, CORNERS, strict=True):
    mask[y0:y1, x0:x1] = 1
COLOURS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)
VOC = files.voc().replace(b"<xmin>6<", b"<xmin>6.0<")
KEYPOINTS = [v for x, y in POINTS for v in (x, y, 2)] + [0, 0, 0]

# By section and row: the members of the sample, what comes out, and what stands beside it.
FILES = {
    ("Boxes", "COCO, SA-1B"): (coco(), CORNERS, {"category_id": IDS, "iscrowd": [0, 0, 1]}),
    ("Boxes", "LabelMe"): (labelme(), CORNERS, {"label": NAMES}),
    ("Boxes", "Pascal VOC"): ({"xml": VOC}, CORNERS, {"name": NAMES}),
    ("Boxes", "YOLO"): ({"txt": files.yolo()}, CORNERS, {0: IDS}),
    ("Boxes", "YOLO segmentation"): ({"txt": yolo_polygons()}, CORNERS, {0: [0, 1, 0]}),
    ("Boxes", "rows and a list of classes"): (
        {"json": {"boxes": CORNERS, "classes": IDS}},
        CORNERS,
        {"classes": IDS},
    ),
    ("Boxes", "rows with more columns"): (
        {"json": {"rows": [[*box, 0.5, number] for box, number in zip(CORNERS, IDS, strict=True)]}},
        CORNERS,
        {4: [0.5] * 3, 5: IDS},
    ),
    ("Boxes", "fractions of the image"): ({"json": {"relative": FRACTIONS.tolist()}}, CORNERS, {}),
    ("Boxes", "NumPy array"): ({"boxes.npy": files.array()}, CORNERS, {4: IDS}),
    ("Boxes", "your own format"): (
        {"csv": "\n".join(",".join(map(str, [*box, "cat"])) for box in CORNERS).encode()},
        CORNERS,
        {},
    ),
    ("Points", "COCO keypoints"): (coco(keypoints=KEYPOINTS), [*POINTS, [np.nan] * 2] * 3, {}),
    ("Points", "COCO polygons"): (coco(), sum(PAIRS, []), {}),  # noqa: RUF017 - three short lists
    ("Points", "LabelMe"): (labelme(), sum(PAIRS, []), {}),  # noqa: RUF017 - as above
    ("Points", "list of pairs"): ({"json": {"landmarks": POINTS}}, POINTS, {}),
    ("Points", "fractions of the image"): ({"json": {"relative": [[0.25, 0.5]]}}, [[16, 24]], {}),
    ("Points", "NumPy array"): ({"points.npy": npy(np.array(POINTS))}, POINTS, {}),
    ("Points", "your own format"): ({"bin": struct.pack("<4f", *sum(POINTS, []))}, POINTS, {}),  # noqa: RUF017 - as above
    ("Masks", "PNG of grey values or of a palette (Pascal VOC, ADE20K, Cityscapes)"): (
        {"mask.png": encode(CLASSES, "PNG")},
        CLASSES,
        {},
    ),
    ("Masks", "PNG of colours"): ({"rgb.png": encode(COLOURS[CLASSES], "PNG")}, CLASSES, {}),
    ("Masks", "TIFF, PGM, PBM, JPEG 2000"): ({"mask.tif": encode(CLASSES, "TIFF")}, CLASSES, {}),
    ("Masks", "PNG of other values than ids"): (
        {"mask255.png": encode((CLASSES > 0) * np.uint8(255), "PNG")},
        CLASSES > 0,
        {},
    ),
    ("Masks", "COCO panoptic PNG"): (
        {"panoptic.png": encode(np.dstack([CLASSES, CLASSES * 2, CLASSES * 3]), "PNG")},
        CLASSES.astype(int) * (1 + 2 * 256 + 3 * 65536),
        {},
    ),
    ("Masks", "JPEG"): (
        {"mask.jpg": encode((CLASSES > 0) * np.uint8(255), "JPEG", quality=95)},
        CLASSES > 0,
        {},
    ),
    ("Masks", "NumPy array"): ({"mask.npy": npy(CLASSES.astype(np.int64))}, CLASSES, {}),
    ("Masks", "COCO polygons and RLE"): (coco(), painted(IDS), {}),
    ("Masks", "SA-1B, single objects"): (
        {
            "json": {
                "image": {"height": HEIGHT, "width": WIDTH},
                "annotations": [
                    {"segmentation": run_lengths(painted([k == j for j in range(3)]).astype(int))}
                    for k in range(3)
                ],
            }
        },
        np.where((painted([1, 0, 0]) == 1) & (painted([0, 1, 0]) == 0), 1, painted([1, 2, 3])),
        {},
    ),
    ("Masks", "LabelMe"): (labelme(), CLASSES, {}),
    ("Masks", "YOLO segmentation"): ({"txt": yolo_polygons()}, painted([0, 1, 0], 255), {}),
    ("Masks", "COCO, SA-1B, one mask for each object"): (coco(), EACH, {}),
    ("Masks", "LabelMe, one mask for each object"): (labelme(), EACH, {}),
    ("Masks", "YOLO segmentation, one mask for each object"): ({"txt": yolo_polygons()}, EACH, {}),
    ("Masks", "your own format"): ({"npz": npz(mask=CLASSES)}, CLASSES, {}),
}


def rows() -> dict[tuple[str, str], str]:
    """Return the expression of each row, by its section and format."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    return {
        (section.partition("\n")[0], name): code
        for section in sections
        for name, code in ROWS
        if f"| {name} | `{code}` |" in section
    }


def delivered(code: str, members: dict, path: Path):
    """Return what a loader delivers of a sample with these members, without a zoom."""
    with ShardWriter(path) as writer:
        jpg = encode(picture(0, HEIGHT, WIDTH))
        writer.write({"__key__": "a", "jpg": jpg, **members})
    names = {"Boxes": Boxes, "Points": Points, "Mask": Mask, "InstanceMasks": InstanceMasks}
    exec(compile(python_blocks(PAGE)[1], "labels.md", "exec"), names)
    fields = ("image", eval(code, names))
    with ZoomLoader(
        str(path), UniformSampler((HEIGHT, WIDTH)), batch_size=1, fields=fields, on_bad="raise"
    ) as loader:
        return next(iter(loader))[1]


def test_each_row_is_tried():
    """There is a file for each row, and no other."""
    assert rows().keys() == FILES.keys()
    assert len(rows()) == len(ROWS)


@pytest.mark.parametrize("row", FILES, ids=" ".join)
def test_a_row_of_the_page(row, tmp_path):
    """The field of the row reads the file."""
    members, expected, beside = FILES[row]
    found = delivered(rows()[row], members, tmp_path / "a.tar")

    if row[0] == "Masks":
        wrong = int((found[0].numpy() != expected).sum())
        assert wrong <= (40 if row[1] == "JPEG" else 0)  # compression may move an edge
        return
    [places] = found.boxes if row[0] == "Boxes" else found
    torch.testing.assert_close(
        places, torch.tensor(expected, dtype=torch.float32), rtol=0, atol=1e-3, equal_nan=True
    )
    labels = {
        name: each[0].tolist() if isinstance(each[0], torch.Tensor) else each[0]
        for name, each in getattr(found, "labels", {}).items()
    }
    assert labels == beside


def test_the_first_example(tmp_path, capsys):
    """The first example trains on boxes and masks of one annotation file."""
    url = tmp_path / "coco.tar"
    with ShardWriter(url) as writer:
        for k in range(3):
            writer.write({"__key__": str(k), "jpg": encode(picture(k, HEIGHT, WIDTH)), **coco()})
    block = python_blocks(PAGE)[0].replace("coco-{000000..000117}.tar", str(url))
    exec(compile(block, "labels.md", "exec"), {})

    assert capsys.readouterr().out.startswith(
        "torch.Size([3, 3, 224, 224]) torch.Size([3, 224, 224]) {'boxes'"
    )


def test_a_wrong_mask_would_be_seen(tmp_path):
    """The check of rows fails for the mask of another image."""
    found = delivered(
        'Mask("png")', {"png": encode(Image.fromarray(CLASSES[::-1]), "PNG")}, tmp_path / "a.tar"
    )

    assert (found[0].numpy() != CLASSES).sum() > 40
