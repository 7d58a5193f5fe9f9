"""Boxes in each format of files, and what a field reads and writes of them."""

import torch

from foveal.pipeline import Boxes
from foveal.pipeline.fields import ImageBoxes
from tests.pipeline.fields import label_files as files
from tests.pipeline.fields.label_files import HEIGHT, IDS, NAMES, WIDTH

SIZE = HEIGHT, WIDTH
FORMATS = {
    "COCO": (
        "json",
        files.coco(),
        Boxes("json:annotations[].bbox", format="xywh", labels="category_id"),
        IDS,
    ),
    "LabelMe": ("json", files.labelme(), Boxes("json:shapes[].points", labels="label"), NAMES),
    "Pascal VOC": ("xml", files.voc(), Boxes("xml", labels="name"), NAMES),
    "YOLO": ("txt", files.yolo(), Boxes("txt", labels=0), IDS),
    "rows": ("json", files.rows_with_scores(), Boxes("json:boxes", labels=5), IDS),
    "lists": ("json", files.lists_side_by_side(), Boxes("json:boxes", labels="labels"), NAMES),
    "array": ("npy", files.array(), Boxes("npy", labels=4), IDS),
}


def read(field, member, content):
    return field.read({member: content}, max_pixels=None)


def pixels(field, label, size=SIZE):
    return field.in_pixels(label, size).tolist()


def written(name, places=(0, 2)):
    member, content, field, _ = FORMATS[name]
    boxes = ImageBoxes(torch.tensor([[1.0, 2, 3, 4.00004]] * len(places)), torch.tensor(places), {})
    return field.write({member: content}, boxes, (32, 40))[member]


def boxes_at(*places):
    return ImageBoxes(
        torch.tensor([[1.0, 2, 3, 4]] * len(places)).reshape(-1, 4),
        torch.tensor(places, dtype=torch.int64),
        {},
    )
