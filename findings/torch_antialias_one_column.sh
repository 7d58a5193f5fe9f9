#!/usr/bin/env bash
# torch 2.13.0: interpolate(antialias=True) to a result that is one pixel wide repeats its first row.
#
# Expected: rows of 0, 1, 2, 3 become [5/7, 16/7] at a height of 2, as they do if the image is turned by 90 degrees.
# Seen: on the CPU, if the result of a floating-point image is one pixel wide, all its rows equal the first: [5/7, 5/7], without a warning,
# however wide the image is. The same for bicubic, for larger results, and for any number of channels; without antialias the result is
# right, and so is one that is one pixel high.
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
    for columns in (1, 3):
        for rows in (2, 8):
            image = column.repeat(1, 1, 1, columns)
            narrow = interpolate(image, (rows, 1), mode=mode, antialias=True)[0, 0, :, 0]
            turned = interpolate(image.mT.contiguous(), (1, rows), mode=mode, antialias=True)[0, 0, 0]
            print(f"{mode}, {columns} wide, to {rows} rows: {narrow.tolist()}, turned {turned.tolist()}")
            same &= bool((narrow == turned[0]).all()) and not torch.allclose(narrow, turned)
sys.exit(not same)
PY
