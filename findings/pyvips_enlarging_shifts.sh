#!/usr/bin/env bash
# pyvips 3.2.0 with libvips 8.18.7: resize() that enlarges moves the picture half an output pixel right and down; resize() that reduces does not.
#
# Expected: what the documentation of vips_resize says, that pixels keep their centres both ways: enlarging "adds a 0.5 pixel displacement to the
# input pixels to get centre convention scaling". Then a reduced and enlarged picture lies where it was, and so do its boxes and masks.
# Seen: with every kernel but "nearest" the enlarged picture lies exactly half an output pixel further right and down than the centres of
# its pixels: it takes the value at (x + 0.5) / scale - 0.5 - 0.5 / scale of the source. Enlarged by 1.5, that is a third of a source
# pixel. Reduced pictures lie where they should. So do those that "nearest" enlarges: an image moves off a mask that is resized with it.
# Known to libvips as a question (libvips/libvips#4841).
# What to do: affine() with odx and ody of (scale - 1) / 2, an oarea of the size wanted, and extend="copy".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyvips==3.2.0 pyvips-binary==8.18.7 numpy==2.4.6

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import pyvips

SIDE = 48
# Each pixel's value is the position of its centre, so a resized ramp says where its pixels were taken from.
RAMP = np.tile(np.arange(SIDE, dtype=np.float32) + 0.5, (SIDE, 1))


def shift(scale, kernel, array=RAMP):
    """How far off the picture is, in output pixels to the right, away from the borders."""
    found = pyvips.Image.new_from_array(array).resize(scale, kernel=kernel).numpy()
    side = found.shape[1]
    centres = (np.arange(side) + 0.5) * SIDE / side
    inner = slice(side // 3, 2 * side // 3)
    return float(np.mean((centres - found[side // 2])[inner])) * side / SIDE


print("pyvips", pyvips.__version__, "libvips", ".".join(str(pyvips.version(k)) for k in range(3)))
found = {kernel: {scale: shift(scale, kernel) for scale in (0.5, 0.75, 1.5, 2, 4)} for kernel in ("linear", "cubic", "lanczos3")}
for kernel, shifts in found.items():
    print(f"{kernel:9}", *(f"x{scale}: {off:+.2f}" for scale, off in shifts.items()), "output pixels")
nearest = [shift(scale, "nearest") for scale in (2, 4)]
print("nearest  ", *(f"{off:+.2f}" for off in nearest))

# A box of ones and its mask: where the enlarged box begins, and where the enlarged mask does.
box = np.zeros((SIDE, SIDE), np.float32)
box[12:30, 12:30] = 1
image, mask = (pyvips.Image.new_from_array(box).resize(4, kernel=kernel).numpy() for kernel in ("linear", "nearest"))
columns = np.arange(image.shape[1]) + 0.5
middles = [float((each.sum(0) * columns).sum() / each.sum()) for each in (image, mask)]
print(f"middle of a box enlarged by 4: {middles[0]:.2f} in the image, {middles[1]:.2f} in the mask, {21 * 4:.2f} expected")

half = all(abs(off - 0.5) < 0.02 for shifts in found.values() for scale, off in shifts.items() if scale > 1)
right = all(abs(off) < 0.02 for shifts in found.values() for scale, off in shifts.items() if scale < 1)
apart = abs(middles[0] - middles[1] - 0.5) < 0.02 and abs(middles[1] - 84) < 0.02
sys.exit(not (half and right and apart))
PY
