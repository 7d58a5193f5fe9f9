#!/usr/bin/env bash
# torchmetrics 1.9.0: RelativeAverageSpectralError is too large by the square of its window, 64 times by default.
#
# Expected: RASE is the error in percent of the mean brightness: 100 / M * sqrt(mean over the bands of RMSE^2), where M is the mean of the
# reference. A reference that is 0.5 everywhere, and a picture that is 0.55, have 10 %, in windows of any size.
# Seen: 640 with the default window of 8 pixels, 160 with 4, 2560 with 16: the mean over a window is divided by the number of its pixels once
# more. The example in its documentation prints 5326 for two random pictures. Comparisons between pictures keep their order; the numbers are no
# percentages, and cannot be compared with those of papers or of another window. ERGAS of the same package, the same error over the means of the
# bands and the ratio of the pixel sizes, is right.
# What to do: divide by window_size ** 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet torchmetrics==1.9.0 numpy==2.4.6 scipy==1.17.1

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import torch
import torchmetrics
from scipy.ndimage import uniform_filter
from torchmetrics.functional.image import error_relative_global_dimensionless_synthesis as ergas
from torchmetrics.functional.image import relative_average_spectral_error as rase


def by_definition(preds, target, window):
    """RASE of one picture of shape (1, bands, rows, cols): the mean over all windows that lie inside, in float64."""
    preds, target = preds[0].double().numpy(), target[0].double().numpy()
    size = (0, window, window)
    squares = uniform_filter((preds - target) ** 2, size)
    means = uniform_filter(target, size).mean(0)
    found = 100 / means * np.sqrt(squares.mean(0))
    inner = slice(window // 2, -(window // 2))
    return float(found[inner, inner].mean())


print("torchmetrics", torchmetrics.__version__)
even, brighter = torch.full((1, 3, 64, 64), 0.5), torch.full((1, 3, 64, 64), 0.55)
generator = torch.Generator().manual_seed(0)
target = torch.rand(1, 3, 64, 64, generator=generator)
preds = (target + 0.1 * torch.rand(1, 3, 64, 64, generator=generator)).clamp(0, 1)
ratios = []
for window in (4, 8, 16):
    for name, (one, other) in {"even": (brighter, even), "noise": (preds, target)}.items():
        found, expected = float(rase(one, other, window_size=window)), by_definition(one, other, window)
        ratios.append(found / expected / window**2)
        print(f"window {window:2}, {name:5}: {found:8.1f}, by definition {expected:5.2f}: {found / expected:6.1f} times as large")
print(f"ERGAS of the even pictures: {float(ergas(brighter, even, ratio=1.0)):.2f}, by definition 10.00")

right = abs(float(ergas(brighter, even, ratio=1.0)) - 10) < 0.01
sys.exit(not (right and all(0.97 < ratio < 1.03 for ratio in ratios)))
PY
