"""Label files as labelling tools write them, each with the same three boxes."""

import json

import numpy as np

from tests.pipeline.making import npy

WIDTH, HEIGHT = 64, 48
CORNERS = [[6, 8, 36, 28], [0, 0, 12, 10], [40, 20, 64, 48]]
NAMES = ["cat", "dog", "cat"]
IDS = [3, 7, 3]


def js(value) -> bytes:
    return json.dumps(value).encode()


def xywh(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def coco():
    """Return annotations as pycocotools groups them by image; SA-1B has the image's size, too."""
    return js(
        {
            "image": {"width": WIDTH, "height": HEIGHT, "file_name": "a.jpg"},
            "annotations": [
                {"id": 10 + k, "bbox": xywh(box), "category_id": IDS[k], "iscrowd": 0}
                for k, box in enumerate(CORNERS)
            ],
        }
    )


def labelme():
    """Return rectangles from any corner to the opposite one, and a point, which has no box."""
    shapes = [
        {"label": name, "points": [[box[2], box[1]], [box[0], box[3]]], "shape_type": "rectangle"}
        for name, box in zip(NAMES, CORNERS, strict=True)
    ]
    point = {"label": "nose", "points": [[5, 5]], "shape_type": "point"}
    return js(
        {"shapes": [*shapes, point], "imageHeight": HEIGHT, "imageWidth": WIDTH, "imageData": "aGFsbG8="}
    )


def voc():
    objects = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in zip(NAMES, CORNERS, strict=True)
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><filename>a.jpg</filename>{size}{objects}</annotation>".encode()


def yolo():
    lines = []
    for which, (x0, y0, x1, y1) in zip(IDS, CORNERS, strict=True):
        centre = (x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT
        lines.append(" ".join(map(str, (which, *centre, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT))))
    return "\n".join(lines).encode()


def rows_with_scores():
    return js({"boxes": [[*box, 0.5, which] for box, which in zip(CORNERS, IDS, strict=True)]})


def lists_side_by_side():
    return js({"boxes": CORNERS, "labels": NAMES, "more": 1})


def array():
    return npy(np.array([[*box, which] for box, which in zip(CORNERS, IDS, strict=True)], np.float32))
