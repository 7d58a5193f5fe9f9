#!/usr/bin/env bash
# SimpleITK 2.5.7: filters and resampling of integer images cut off all decimals; DiscreteGaussian makes them darker by a level or more.
#
# Expected: the nearest integer, as OpenCV, Pillow and DALI give it, so that a blur keeps the mean of a picture. The documentation of
# Resample, Expand, Mean and DiscreteGaussian says nothing of how integers are made.
# Seen: results are cut off towards 0. The mean of a uint8 image falls by half a level with Resample, Expand and Mean, and by half a level per
# dimension with DiscreteGaussian, which cuts off after each axis: by 1 in two dimensions and 1.5 in three. In a CT (int16) what is
# above 0 HU gets darker and what is below gets brighter. Pixels that were made with SimpleITK and with another library differ in brightness.
# To do: filter floating-point images, as `sitk.Cast(image, sitk.sitkFloat32)`, and `sitk.Round` before the cast back; Resample takes
# `outputPixelType=sitk.sitkFloat32`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet simpleitk==2.5.7 numpy==2.4.6 scipy==1.17.1

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

print("SimpleITK", sitk.Version.VersionString(), "- integers minus the exact result, on average")
rng = np.random.default_rng(0)
STEP = 1.37


def resample(image):
    size = [int((n - 1) / STEP) + 1 for n in image.GetSize()]
    spacing = [STEP] * image.GetDimension()
    return sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), spacing, image.GetDirection())


filters = {
    "Resample": resample,
    "Mean": lambda image: sitk.Mean(image, [1] * image.GetDimension()),
    "Expand": lambda image: sitk.Expand(image, [2] * image.GetDimension()),
    "DiscreteGaussian": lambda image: sitk.DiscreteGaussian(image, 2.0),
}


def by_scipy(name, image):
    """The same in double precision, where SciPy has it."""
    image = image.astype(float)
    if name == "Resample":
        places = [np.arange(int((n - 1) / STEP) + 1) * STEP for n in image.shape]
        return ndimage.map_coordinates(image, np.meshgrid(*places, indexing="ij"), order=1)
    return ndimage.uniform_filter(image, 3, mode="nearest") if name == "Mean" else None


images = {
    "uint8, 2 dimensions": rng.integers(0, 256, (96, 96), dtype=np.uint8),
    "uint8, 3 dimensions": rng.integers(0, 256, (32, 32, 32), dtype=np.uint8),
    "int16, a CT of soft tissue": rng.integers(20, 80, (32, 32, 32), dtype=np.int16),
    "int16, a CT of lung": rng.integers(-900, -500, (32, 32, 32), dtype=np.int16),
}
as_stated = True
for title, image in images.items():
    for name, apply in filters.items():
        whole = apply(sitk.GetImageFromArray(image))
        seen = sitk.GetArrayFromImage(whole).astype(float)
        exact = sitk.GetArrayFromImage(apply(sitk.GetImageFromArray(image.astype(float))))
        rounded = sitk.GetArrayFromImage(sitk.Cast(sitk.Round(apply(sitk.GetImageFromArray(image.astype(np.float32)))), whole.GetPixelID()))
        other = by_scipy(name, image)
        assert other is None or np.abs(other - exact).max() < 1e-6
        assert name != "DiscreteGaussian" or abs(exact.mean() - image.mean()) < 0.005 * np.ptp(image)  # a blur keeps the mean
        shift, shift_rounded = ((result - exact).mean() for result in (seen, rounded))
        print(f"{title}, {name}: {shift:+.2f} as integers, {shift_rounded:+.2f} as floating point and rounded")
        towards_0 = -shift if exact.mean() > 0 else shift
        axes = image.ndim if name == "DiscreteGaussian" else 1
        as_stated &= abs(towards_0 - 0.5 * axes) < 0.1 * axes and abs(shift_rounded) < 0.06
sys.exit(not as_stated)
PY
