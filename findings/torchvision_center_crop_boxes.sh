#!/usr/bin/env bash
# torchvision 0.28.0: CenterCrop moves boxes and key points one pixel off the image if it must pad by 3, 7, 11, ... pixels.
#
# Expected: transforms.v2 moves an image, its masks, boxes and key points together; CenterCrop pads an image that is smaller than the crop.
# Seen: the image and masks get the smaller half of an odd padding on the left and at the top, e.g. 1 of 3. Boxes and key points are moved
# by round(-3 / 2), which Python rounds to the even neighbour, so by 2. With 1, 5, 9, ... pixels both agree. 0.29.2 does so, too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet torchvision==0.28.0 numpy==2.4.6 pillow==13.0.0

cd "$folder"
venv/bin/python - <<'PY'
import sys

import torch

if torch.version.cuda is None:  # torchvision's compiled operators want CUDA's torch; its transforms do not need them
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")

import torchvision
from torchvision import tv_tensors
from torchvision.transforms import v2

SIZE = (40, 40)
mask = torch.zeros(1, *SIZE, dtype=torch.uint8)
mask[:, 10:20, 14:30] = 1
sample = {
    "image": tv_tensors.Image(mask * 255),
    "mask": tv_tensors.Mask(mask),
    "box": tv_tensors.BoundingBoxes(torch.tensor([[14, 10, 30, 20]]), format="XYXY", canvas_size=SIZE),
    "corner": tv_tensors.KeyPoints(torch.tensor([[14, 10]]), canvas_size=SIZE),
}


def corner(picture):
    rows, columns = picture[0].nonzero(as_tuple=True)
    return columns.min().item(), rows.min().item()


print("torchvision", torchvision.__version__)
off = []
for padding in range(17):
    after = v2.CenterCrop(SIZE[0] + padding)(sample)
    seen = [corner(after["image"]), corner(after["mask"]), tuple(after["box"][0, :2].tolist()), tuple(after["corner"][0].tolist())]
    if len(set(seen)) > 1:
        off.append(padding)
        print("padded by {}: left upper corner of the image {}, mask {}, box {}, key point {}".format(padding, *seen))
sys.exit(off != [3, 7, 11, 15])
PY
