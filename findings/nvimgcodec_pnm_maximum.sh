#!/usr/bin/env bash
# nvImageCodec 0.9.0: a PGM whose maximum is 4095 is decoded 16 times too dark, without an error.
#
# Expected: the third number of a PGM's header says which sample is white, so that a picture of 12 bits whose samples reach 4095 becomes
# levels up to 255; with allow_any_depth=True, samples of 16 bits as they are stored.
# Seen: the maximum is ignored. Samples are divided by 256 as if 65535 were white, so the brightest level is 15; and
# allow_any_depth=True gives the same 8 bits. DALI 2.4, whose decoder it is, does so too. Pillow scales 4095 to 65535.
set -euo pipefail
export PYNVIMGCODEC_VERBOSITY=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nvidia-nvimgcodec-cu13==0.9.0.20 numpy==2.4.6 pillow==13.0.0

"$folder/venv/bin/python" - <<'PY'
import io
import sys

import numpy as np
from nvidia import nvimgcodec
from PIL import Image

samples = np.linspace(0, 4095, 64 * 48).reshape(48, 64).astype(">u2")
file = b"P5\n64 48\n4095\n" + samples.tobytes()
cpu = nvimgcodec.Backend(nvimgcodec.BackendKind.CPU_ONLY)
decoder = nvimgcodec.Decoder(device_id=nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY, backends=[cpu])
print("nvImageCodec", nvimgcodec.__version__, "of samples from 0 to", samples.max())
found = []
for any_depth in (False, True):
    image = np.asarray(decoder.decode(file, params=nvimgcodec.DecodeParams(allow_any_depth=any_depth)).cpu())
    found.append((str(image.dtype), int(image.max())))
    print(f"allow_any_depth={any_depth}: {image.dtype} from {image.min()} to {image.max()}")
print("Pillow:", np.asarray(Image.open(io.BytesIO(file))).max())
sys.exit(found != [("uint8", 15)] * 2)
PY
