#!/usr/bin/env bash
# torchvision 0.28.0: transforms.v2 turns what is white in 16-bit images black: ToDtype, ColorJitter's hue, adjust_gamma, a bicubic Resize.
#
# Expected: what its documentation says of the range of values, from 0 to the greatest number of an integer dtype, for each dtype: these
# transforms give 16-bit images what they give the same images in 8 bits, only finer. A conversion that cannot be made safely, as
# from float32 to int32, is refused with an error.
# Seen: the greatest numbers run over. Floats are multiplied by 65535.999, which float32 rounds up to 65536, so that 1.0 becomes 0 in
# uint16; hue and gamma go this way, too. A bicubic Resize overshoots at edges; its result is clamped for uint8 only. The same happens to
# float16 and bfloat16 images that become uint8, which is known upstream (issue 6799). 0.29.1 does so, too.
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
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

torch.manual_seed(0)
picture = torch.full((3, 32, 32), 0.25)
picture[:, 8:24, 8:24] = 1  # a white square on grey
greatest = {torch.uint8: 255, torch.uint16: 65535, torch.int16: 32767}


def image(dtype):
    return (picture.double() * greatest[dtype]).round().to(dtype) if dtype in greatest else picture.to(dtype)


def black(result):
    """How many of the pixels are black, though the picture has only grey and white."""
    return int((result.double() / greatest[result.dtype] < 0.1).sum(0).gt(0).sum())


def convert(dtype):
    return v2.ToDtype(dtype, scale=True)


hue = v2.ColorJitter(hue=0.1)
bicubic = v2.Resize((48, 48), interpolation=v2.InterpolationMode.BICUBIC)
gamma = lambda picture: functional.adjust_gamma(picture, 0.9)  # noqa: E731
cases = [
    ("ToDtype, float64 to uint16", convert(torch.uint16), torch.float64, False),
    ("ToDtype, float32 to uint16", convert(torch.uint16), torch.float32, True),
    ("ToDtype, float32 to uint8", convert(torch.uint8), torch.float32, False),
    ("ToDtype, float16 to uint8", convert(torch.uint8), torch.float16, True),
    ("ToDtype, bfloat16 to uint8", convert(torch.uint8), torch.bfloat16, True),
    ("ColorJitter(hue=0.1), uint16", hue, torch.uint16, True),
    ("ColorJitter(hue=0.1), uint8", hue, torch.uint8, False),
    ("adjust_gamma, uint16", gamma, torch.uint16, True),
    ("adjust_gamma, uint8", gamma, torch.uint8, False),
    ("bicubic Resize, uint16", bicubic, torch.uint16, True),
    ("bicubic Resize, int16", bicubic, torch.int16, True),
    ("bicubic Resize, uint8", bicubic, torch.uint8, False),
]
print("torchvision", torchvision.__version__, "- a white square of 16 x 16 pixels on grey: black pixels afterwards")
found = []
for name, transform, dtype, wrong in cases:
    count = black(transform(image(dtype)))
    print(f"{name}: {count}")
    found.append((count > 0) == wrong)
try:
    convert(torch.int32)(image(torch.float32))
    refused = False
except RuntimeError as error:
    print("ToDtype, float32 to int32:", error)
    refused = True
sys.exit(not (all(found) and refused))
PY
