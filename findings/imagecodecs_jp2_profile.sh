#!/usr/bin/env bash
# imagecodecs 2026.3.6: jpeg2k_decode of a lossless file gives other samples than were encoded if the file embeds a colour profile.
#
# Expected: a lossless JPEG 2000 is decoded to the samples that were encoded, as Pillow does.
# Seen: RGB is converted to sRGB by the profile. There is no parameter against it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet imagecodecs==2026.3.6 numpy==2.4.6 pillow==13.0.0

"$folder/venv/bin/python" - <<'PY'
import io
import sys

import imagecodecs
import numpy as np
from PIL import Image, ImageCms

# The profile of sRGB with green and red exchanged: a conversion cannot be overlooked.
icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
entries = {bytes(icc[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(int.from_bytes(icc[128:132]))}
red, green = (slice(entries[tag] + 4, entries[tag] + 12) for tag in (b"rXYZ", b"gXYZ"))
icc[red], icc[green] = icc[green], icc[red]

samples = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
file = imagecodecs.jpeg2k_encode(samples, level=0, codecformat="jp2")
head, colours = file.index(b"jp2h") - 4, file.index(b"colr") - 4
after = colours + int.from_bytes(file[colours : colours + 4])
box = (11 + len(icc)).to_bytes(4) + b"colr\2\0\0" + bytes(icc)
length = int.from_bytes(file[head : head + 4]) + len(box) - (after - colours)
tagged = file[:head] + length.to_bytes(4) + file[head + 4 : colours] + box + file[after:]

print("imagecodecs", imagecodecs.__version__, imagecodecs.jpeg2k_version())
plain, with_profile = (imagecodecs.jpeg2k_decode(one).astype(int) for one in (file, tagged))
by_pillow = np.asarray(Image.open(io.BytesIO(tagged))).astype(int)
off = [int(np.abs(one - samples).max()) for one in (plain, with_profile, by_pillow)]
print(f"largest difference to the samples: without a profile {off[0]}, with one {off[1]}; by Pillow, with it, {off[2]}")
sys.exit(not (off[0] == off[2] == 0 and off[1] > 50))
PY
