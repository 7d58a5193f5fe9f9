#!/usr/bin/env bash
# supervision 0.31.2: as_coco() and as_yolo() write masks as polygons that are a pixel narrower and lower than the masks.
#
# Expected: what the documentation says, that a mask without holes "will be encoded as a polygon, preserving the outline of the object", in
# the format's own convention, in which a pixel is a square and a coordinate names its corner: the boxes that are written beside the
# polygons, and the areas, are so. pycocotools should find the mask that was written; a mask with a hole, which is written as run lengths, comes back exactly.
# Seen: the corners of a polygon are indices of the outermost pixels, as OpenCV's findContours gives them, so half a pixel is missing all
# round. pycocotools reads 1 pixel of 4, 121 of 144, 841 of 900, beside an "area" of 4, 144 and 900. An object that is one pixel wide gets an
# empty polygon in COCO; in YOLO its box, of which supervision makes a mask twice as large. Boxes of the other objects that are read from the
# YOLO file, also by supervision itself, end one pixel early. Masks that supervision reads back are whole, as it paints the border, too, so
# a round trip does not show it.
# What to do: write run lengths (pycocotools.mask.encode of each mask), or draw each mask twice as large and halve the polygon.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet supervision==0.31.2 pycocotools==2.0.11 opencv-python-headless==5.0.0.93 numpy==2.4.6

cd "$folder"
venv/bin/python - <<'PY'
import contextlib
import io
import sys

import cv2
import numpy as np
import supervision as sv
from pycocotools.coco import COCO

HEIGHT, WIDTH = 120, 160
# Squares of 2, 12 and 30 pixels, one with a hole, and a line one pixel wide.
BOXES = np.array([[4, 4, 6, 6], [20, 20, 32, 32], [60, 60, 90, 90], [110, 10, 130, 30], [110, 60, 111, 90]], float)
masks = np.zeros((len(BOXES), HEIGHT, WIDTH), bool)
for mask, (x0, y0, x1, y1) in zip(masks, BOXES.astype(int)):
    mask[y0:y1, x0:x1] = True
masks[3, 15:20, 115:120] = False
sizes = masks.sum((1, 2)).tolist()

cv2.imwrite("a.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
told = sv.Detections(xyxy=BOXES, mask=masks, class_id=np.zeros(len(BOXES), int))
dataset = sv.DetectionDataset(classes=["thing"], images=["a.png"], annotations={"a.png": told})

dataset.as_coco(annotations_path="coco.json")
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO("coco.json")
written = {tuple(each["bbox"][:2]): each for each in coco.dataset["annotations"]}


def read(annotation):
    return int(coco.annToMask(annotation).sum()) if annotation["segmentation"] else None


found = [written.get(tuple(box[:2])) for box in BOXES.tolist()]
areas = [None if each is None else int(each["area"]) for each in found]
by_coco = [None if each is None else read(each) for each in found]
print("pixels of the masks      ", sizes)
print("'area' in the COCO file  ", areas)
print("pixels by pycocotools    ", by_coco)

dataset.as_yolo(images_directory_path="images", annotations_directory_path="labels", data_yaml_path="data.yaml")
again = sv.DetectionDataset.from_yolo("images", "labels", "data.yaml", force_masks=True)
[back] = again.annotations.values()
rows = {tuple(np.round(box[:2]).astype(int).tolist()): box for box in back.xyxy}
ends = [None if tuple(map(int, box[:2])) not in rows else float(rows[tuple(map(int, box[:2]))][2]) for box in BOXES.tolist()]
print("right ends of the boxes  ", [box[2] for box in BOXES.tolist()])
print("the same, from YOLO files", [None if end is None else round(end, 2) for end in ends])
print("pixels by supervision    ", back.mask.sum((1, 2)).tolist())

sys.exit(
    not (
        sizes == [4, 144, 900, 375, 30]
        and areas[:4] == sizes[:4]
        and by_coco[:3] == [1, 121, 841]
        and by_coco[3] == 375
        and by_coco[4] is None
        and all(abs(end - box[2] + 1) < 0.01 for end, box in zip(ends[:4], BOXES))
        and abs(ends[4] - 111) < 0.01
        and back.mask.sum((1, 2)).tolist() == [4, 144, 900, 375, 62]
    )
)
PY
