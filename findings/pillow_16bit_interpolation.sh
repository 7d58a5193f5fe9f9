#!/usr/bin/env bash
# Pillow 13.0.0: rotating 16-bit pictures with interpolation gives noise, and so does resizing those of big-endian TIFF files; no error.
#
# Expected: what the picture gives in mode "I", whose samples have 32 bits. The documentation of rotate, transform and resize names the
# modes for which they take the nearest pixel instead, "1" and "P". It calls the support of 16-bit modes limited; operations that lack it,
# as reduce, raise ValueError.
# Seen: rotate and transform with BILINEAR or BICUBIC take the two bytes of a sample for two pixels of 8 bits. A rotated 16-bit PNG, of
# depth or X-rays, has nothing to do with the picture. resize is right for PNG (mode "I;16"), but for big-endian TIFF files ("I;16B"),
# which ImageJ writes, it takes the bytes of a sample in the wrong order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3

cd "$folder"
venv/bin/python - <<'PY'
import sys

import numpy as np
import PIL
import tifffile
from PIL import Image

y, x = np.mgrid[:120, :160]
samples = (30000 + 10000 * np.sin(x / 9) + 10000 * np.cos(y / 7)).astype(np.uint16)  # soft hills
Image.fromarray(samples).save("hills.png")
tifffile.imwrite("hills.tif", samples, byteorder=">")
bilinear, bicubic = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
operations = {
    "rotate, nearest": lambda picture: picture.rotate(10),
    "rotate, bilinear": lambda picture: picture.rotate(10, bilinear),
    "rotate, bicubic": lambda picture: picture.rotate(10, bicubic),
    "shift, bilinear": lambda picture: picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, 0.5, 0, 1, 0), bilinear),
    "resize, bilinear": lambda picture: picture.resize((80, 60), bilinear),
    "resize, bicubic": lambda picture: picture.resize((80, 60), bicubic),
}
print(f"Pillow {PIL.__version__}: samples, from {samples.min()} to {samples.max()}, that are off by more than 500")
wrong = set()
for path in ("hills.png", "hills.tif"):
    picture = Image.open(path)
    assert np.array_equal(np.asarray(picture), samples)
    for name, operation in operations.items():
        seen, expected = (np.asarray(operation(one)).astype(int) for one in (picture, picture.convert("I")))
        off = (np.abs(seen - expected)[20:-20, 20:-20] > 500).mean()
        print(f"{picture.mode} from {path}, {name}: {off:.0%}")
        if off > 0.2:
            wrong.add((picture.mode, name))
interpolated = {(mode, name) for mode in ("I;16", "I;16B") for name in operations if name != "rotate, nearest"}
sys.exit(wrong != interpolated - {("I;16", "resize, bilinear"), ("I;16", "resize, bicubic")})
PY
