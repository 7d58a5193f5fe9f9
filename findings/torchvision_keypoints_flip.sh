#!/usr/bin/env bash
# torchvision 0.28.0: flips move key points one pixel off the image and its boxes; a following resize multiplies the error.
#
# Expected: transforms.v2 moves an image, its boxes and key points together. Key points share the frame of boxes, in which 0 is the left
# edge of the first pixel: resize, rotate, affine and pad leave a key point at the centre of its box, and a turn by 180 degrees,
# which gives the same pixels as both flips, takes x to width - x.
# Seen: a flip takes a box from x to width - x, but a key point to width - 1 - x. In a frame where 0 is the middle of the first pixel that
# would be right, but then resize and rotate would be wrong. Labels of flipped images are too far to the left or too high: by 1 pixel, and
# by 8 if the image is then resized from 32 to 256 pixels. 0.29.2 does so, too.
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

SIZE = (32, 32)
spot = torch.zeros(1, *SIZE)
spot[:, 8:12, 18:22] = 1  # from x = 18 to 22 and from y = 8 to 12
sample = (
    tv_tensors.Image(spot),
    tv_tensors.BoundingBoxes(torch.tensor([[18.0, 8, 22, 12]]), format="XYXY", canvas_size=SIZE),
    tv_tensors.KeyPoints(torch.tensor([[20.0, 10]]), canvas_size=SIZE),
)


def centres(image, box, point):
    weights = image[0] / image.sum()
    y, x = (torch.arange(n) + 0.5 for n in weights.shape)
    of_image = (weights.sum(0) @ x).item(), (weights.sum(1) @ y).item()
    of_box = ((box[0, :2] + box[0, 2:]) / 2).tolist()
    return [tuple(round(value, 2) for value in centre) for centre in (of_image, of_box, point[0].tolist())]


flips = v2.Compose([v2.RandomHorizontalFlip(p=1), v2.RandomVerticalFlip(p=1)])
turn = v2.RandomRotation((180, 180))
ways = {
    "resize to 256": v2.Resize(256),
    "turn by 180": turn,
    "both flips": flips,
    "both flips, resize to 256": v2.Compose([flips, v2.Resize(256)]),
}
print("torchvision", torchvision.__version__, "- centre of the spot in the image, of its box, and the key point")
off = {}
for name, way in ways.items():
    image, box, point = centres(*way(*sample))
    print(f"{name}: {image}, {box}, {point}")
    off[name] = max(abs(a - b) for a, b in zip(image, point, strict=True)), max(abs(a - b) for a, b in zip(image, box, strict=True))
same = torch.equal(flips(sample[0]), turn(sample[0]))
print("both flips and the turn give the same image:", same)
shifts = [round(point, 1) for point, _ in off.values()]
sys.exit(not (same and shifts == [0, 0, 1, 8] and all(box < 0.05 for _, box in off.values())))
PY
