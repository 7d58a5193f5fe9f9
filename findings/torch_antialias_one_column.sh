#!/usr/bin/env bash
# torch 2.13.0: interpolate(antialias=True) of images that are one pixel wide repeats the first row of the result.
#
# Expected: a column of 0, 1, 2, 3 becomes [5/7, 16/7] at a height of 2, as it does if the column stands beside another one.
# Seen: on the CPU, if both images are one pixel wide, all rows of the result equal the first: [5/7, 5/7], without a warning.
# The same for bicubic, for larger results, and for any number of channels; without antialias the result is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

cd "$folder"
venv/bin/python - <<'PY'
import sys

import torch
from torch.nn.functional import interpolate

column = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 1, 4, 1)
print("torch", torch.__version__)
same = True
for mode in ("bilinear", "bicubic"):
    for rows in (2, 8):
        alone = interpolate(column, (rows, 1), mode=mode, antialias=True)[0, 0, :, 0]
        beside = interpolate(column.repeat(1, 1, 1, 3), (rows, 3), mode=mode, antialias=True)[0, 0, :, 0]
        print(f"{mode} to {rows} rows: alone {alone.tolist()}, beside others {beside.tolist()}")
        same &= bool((alone == beside[0]).all()) and not torch.allclose(alone, beside)
sys.exit(not same)
PY
