#!/usr/bin/env bash
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93) and imagecodecs 2026.3.6: arrays in big-endian order are taken for little-endian ones.
#
# Expected: what the values of the array give, or an error, as torch.from_numpy and imagecodecs' encoders for PNG, JPEG XL and JPEG-LS
# raise. Such arrays are ordinary: np.asarray gives them for big-endian 16-bit TIFF files, which ImageJ writes, if Pillow has opened them,
# tifffile.memmap does, and so does np.load for files that were written that way.
# Seen: every function of OpenCV that was tried, and imagecodecs' encoders for JPEG 2000 (also lossless) and TIFF, look at the kind of the
# samples but not at the order of their bytes. A smooth 16-bit picture becomes noise, without a warning; the result has the native order,
# so that nothing shows later what has happened.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 imagecodecs==2026.3.6 numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3

cd "$folder"
venv/bin/python - <<'PY'
import sys

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image

print("OpenCV", cv2.__version__, "imagecodecs", imagecodecs.__version__)
y, x = np.mgrid[:60, :80]
hills = (30000 + 10000 * np.sin(x / 9) + 10000 * np.cos(y / 7)).astype(np.uint16)
tifffile.imwrite("hills.tif", hills, byteorder=">")
sources = {"Pillow": np.asarray(Image.open("hills.tif")), "tifffile.memmap": tifffile.memmap("hills.tif", mode="r")}
for name, array in sources.items():
    print(f"{name} gives {array.dtype.str}, with the right values: {np.array_equal(array, hills)}")
functions = {
    "cv2.resize": lambda image: cv2.resize(image, (40, 30), interpolation=cv2.INTER_AREA),
    "cv2.flip": lambda image: cv2.flip(image, 1),
    "cv2.blur": lambda image: cv2.blur(image, (3, 3)),
    "cv2.warpAffine": lambda image: cv2.warpAffine(image, np.array([[1, 0, 0.5], [0, 1, 0]]), (80, 60)),
    "cv2.imencode": lambda image: cv2.imdecode(cv2.imencode(".png", image)[1], cv2.IMREAD_UNCHANGED),
    "imagecodecs.jpeg2k_encode": lambda image: imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(image, level=0)),
    "imagecodecs.tiff_encode": lambda image: imagecodecs.tiff_decode(imagecodecs.tiff_encode(image)),
    "imagecodecs.png_encode": lambda image: imagecodecs.png_decode(imagecodecs.png_encode(image)),
}
swapped = {name: set() for name in sources}
for source, array in sources.items():
    for name, function in functions.items():
        expected, of_other_order = function(hills), function(hills.byteswap())
        try:
            seen = function(array)
        except ValueError as error:
            print(f"{source}, {name}: ValueError: {error}")
            continue
        if np.array_equal(seen, of_other_order) and not np.array_equal(seen, expected):
            swapped[source].add(name)
        off = np.abs(seen.astype(int) - expected.astype(int)).max()
        print(f"{source}, {name}: {seen.dtype.str}, differs by up to {off} from the result of the same values in native order")
sys.exit(any(names != set(functions) - {"imagecodecs.png_encode"} for names in swapped.values()))
PY
