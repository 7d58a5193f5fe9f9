#!/usr/bin/env bash
# nvImageCodec 0.9.0: a CMYK JPEG without Adobe's marker is decoded to black, without an error.
#
# Expected: the colours of the picture. CMYK JPEGs hold inks inverted, and readers do not need Adobe's marker to know it: Pillow and libvips
# decode the file to the same pixels with the marker and without.
# Seen: with the marker, the same pixels as Pillow's. Without it, inverted inks are taken for inks: no black ink becomes full black ink, and
# every pixel is 0. DALI 2.4, whose decoder it is, does so too.
set -euo pipefail
export PYNVIMGCODEC_VERBOSITY=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nvidia-nvimgcodec-cu13==0.9.0.20 numpy==2.4.6 pillow==13.0.0 pyvips==3.2.0 pyvips-binary==8.18.7

"$folder/venv/bin/python" - <<'PY'
import io
import sys

import numpy as np
import pyvips
from nvidia import nvimgcodec
from PIL import Image

y, x = np.mgrid[:96, :128]
picture = Image.fromarray(np.stack([2 * x, 2 * y, 255 - x], -1).astype(np.uint8)).convert("CMYK")
marked = io.BytesIO()
picture.save(marked, "JPEG", quality=95)
marked = marked.getvalue()
place = marked.index(b"\xff\xee")  # APP14
plain = marked[:place] + marked[place + 2 + int.from_bytes(marked[place + 2 : place + 4]) :]

cpu = nvimgcodec.Backend(nvimgcodec.BackendKind.CPU_ONLY)
decoder = nvimgcodec.Decoder(device_id=nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY, backends=[cpu])
print("nvImageCodec", nvimgcodec.__version__)
seen = {}
for name, file in (("with the marker", marked), ("without", plain)):
    by_pillow = np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).mean()
    by_vips = pyvips.Image.new_from_buffer(file, "").numpy().mean()  # of the inks
    ours = np.asarray(decoder.decode(file)).mean()
    seen[name] = round(by_pillow), round(by_vips), round(ours)
    print(f"{name}: mean level {seen[name][2]}; by Pillow {seen[name][0]}; mean ink by libvips {seen[name][1]}")
one, other = seen["with the marker"], seen["without"]
sys.exit(not (one[:2] == other[:2] and abs(one[0] - one[2]) <= 1 and other[2] == 0 and other[0] > 50))
PY
