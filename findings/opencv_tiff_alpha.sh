#!/usr/bin/env bash
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93): imread and imdecode multiply the colours of TIFF files by their alpha channel.
#
# Expected: the colours that the file has, as Pillow, tifffile and OpenCV itself for the same picture in PNG or WebP give them. They
# are not multiplied by alpha in the file: its tag ExtraSamples says "unassociated", which Pillow, among others, writes for RGBA.
# IMREAD_UNCHANGED promises the image "as is", IMREAD_COLOR the three colours.
# Seen: with 8 bits both flags give colour * alpha / 255, without a warning, and so does IMREAD_COLOR with 16 bits. What a mask
# in the alpha channel hides is black, and what is half transparent is darker by half. Only 16 bits with IMREAD_UNCHANGED are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3

cd "$folder"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import tifffile
from PIL import Image

print("OpenCV", cv2.__version__)
colours = np.random.default_rng(0).integers(0, 256, (64, 256, 3), dtype=np.uint8)
alpha = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
rgba = np.dstack([colours, alpha])
picture = Image.fromarray(rgba)
picture.save("8.png")
picture.save("8.webp", lossless=True, exact=True)
picture.save("8.tif")
tifffile.imwrite("16.tif", rgba.astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"])
assert all(tifffile.TiffFile(name).pages[0].extrasamples == (2,) for name in ("8.tif", "16.tif"))  # 2: unassociated
assert np.array_equal(tifffile.imread("8.tif"), rgba) and np.array_equal(np.asarray(Image.open("8.tif")), rgba)

multiplied = {}
for name in ("8.png", "8.webp", "8.tif", "16.tif"):
    for flag in ("IMREAD_UNCHANGED", "IMREAD_COLOR"):
        image = cv2.imread(name, getattr(cv2, flag))
        decoded = cv2.imdecode(np.fromfile(name, np.uint8), getattr(cv2, flag))
        assert np.array_equal(image, decoded)
        seen = image[..., 2::-1] / (257 if image.dtype == np.uint16 else 1)
        to_file, to_product = (np.abs(seen - one).max() for one in (colours, colours * (alpha[..., None] / 255)))
        print(f"{name}, {flag}: differs by up to {to_file:.0f} from the file's colours, by up to {to_product:.1f} from colour * alpha / 255")
        assert min(to_file, to_product) < 1.1
        multiplied[name, flag] = bool(to_product < to_file)
expected = {("8.tif", "IMREAD_UNCHANGED"), ("8.tif", "IMREAD_COLOR"), ("16.tif", "IMREAD_COLOR")}
sys.exit({key for key, value in multiplied.items() if value} != expected)
PY
