#!/usr/bin/env bash
# albumentationsx 2.5.1: SafeRotate moves images half a pixel off their boxes, even where it turns by 0 degrees.
#
# Expected: what its documentation says, a rotation about the centre of the image in which boxes and key points are transformed along with
# it. A turn by 0 degrees then changes nothing, and the centre of a square stays the centre of its box, as with Rotate.
# Seen: the image, its masks and key points are turned about (width - 1) / 2, where the centres of pixels count as whole numbers, but put
# back about width / 2. They end up half a pixel to the right and below, while boxes, whose edges count as whole numbers, stay where
# they belong, at each angle. Even a turn by 0 degrees blurs the picture.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet albumentationsx==2.5.1 numpy==2.4.6 opencv-python-headless==5.0.0.93

cd "$folder"
NO_ALBUMENTATIONS_UPDATE=1 venv/bin/python - <<'PY'
import sys

import albumentations as A
import numpy as np

print("albumentationsx", A.__version__, "- centre of a square in the image, of its box, and its key point, in pixels from the left upper edge")
square = np.zeros((128, 128, 3), np.uint8)
square[44:56, 64:76] = 255
box, middle = (64.0, 44.0, 76.0, 56.0), (69.5, 49.5)  # key points count pixels' centres as whole numbers


def centres(transform):
    pipeline = A.Compose(
        [transform],
        bbox_params=A.BboxParams(coord_format="pascal_voc", label_fields=["labels"]),
        keypoint_params=A.KeypointParams(coord_format="xy"),
    )
    after = pipeline(image=square, bboxes=np.array([box]), labels=[0], keypoints=np.array([middle]))
    weights = after["image"][..., 0].astype(float)
    x, y = (weights.sum(axis) @ (np.arange(128) + 0.5) / weights.sum() for axis in (0, 1))
    left, top, right, bottom = np.asarray(after["bboxes"], float)[0, :4]
    point = np.asarray(after["keypoints"], float)[0, :2] + 0.5
    return np.array([x, y]), np.array([(left + right) / 2, (top + bottom) / 2]), point, after["image"]


off = {}
for kind in (A.Rotate, A.SafeRotate):
    for angle in (0, 10, 90, 180):
        image, of_box, point, _ = centres(kind(angle_range=(angle, angle), p=1))
        off[kind.__name__, angle] = np.abs(image - of_box)
        print(f"{kind.__name__} by {angle}:", *(np.round(one, 2).tolist() for one in (image, of_box, point)))
same = [np.array_equal(centres(kind(angle_range=(0, 0), p=1))[3], square) for kind in (A.Rotate, A.SafeRotate)]
print(f"a turn by 0 degrees leaves the image as it is: Rotate {same[0]}, SafeRotate {same[1]}")
right = all(difference.max() < 0.1 for (name, _), difference in off.items() if name == "Rotate")
wrong = all(np.abs(difference - 0.5).max() < 0.1 for (name, _), difference in off.items() if name == "SafeRotate")
sys.exit(not (right and wrong and same == [True, False]))
PY
