#!/usr/bin/env bash
# mosaicml-streaming 0.13.0: the encoding "pil" stores palette images without their palette, "ndarray" big-endian arrays with bytes swapped.
#
# Expected: what was written. The guide to dataset conversion says of MDSWriter's encodings that data gets decoded back to its original
# form, and lists "pil" as the raw image and "ndarray" as the array; values that they cannot store are refused with an error.
# Seen: of a palette image (GIF, many PNG) "pil" stores the indices and the mode P. It comes back with a palette of greys: what
# convert("RGB") gives is grey, and nearly black if there were few colours, without an error. Segmentation masks, of which only the indices
# count, are right. "ndarray" looks at the name of the dtype, such as uint16, which is the same in both byte orders, stores the bytes as
# they are and reads them in the machine's order: 1 becomes 256, and floats become nearly 0. Such arrays come from FITS files, from NIfTI
# files of big-endian machines and from ImageJ's 16-bit TIFF files. Columns with a dtype ("ndarray:uint16") refuse them.
# What to do: convert palette images before writing, or store them as "png"; array.astype(array.dtype.newbyteorder("=")) before "ndarray".
# In data sets that are already written, byteswap() mends the arrays; the palettes are gone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet numpy==2.1.3 pillow==13.0.0 transformers==4.57.6 catalogue==2.0.10 xxhash==3.6.0 brotli==1.2.0 \
    python-snappy==0.7.3 zstd==1.5.7.2
"$folder/venv/bin/pip" install --quiet --no-deps torchvision==0.28.0 mosaicml-streaming==0.13.0  # without the clients of clouds

cd "$folder"
venv/bin/python - <<'PY'
import io
import sys
from importlib.metadata import version

import numpy as np
import torch
from PIL import Image

if torch.version.cuda is None:  # torchvision's compiled operators want CUDA's torch; streaming does not need them
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")

from streaming import LocalDataset, MDSWriter


def written_and_read(encoding, value):
    folder = f"{encoding}-{id(value)}".replace(":", "-")
    with MDSWriter(out=folder, columns={"x": encoding}) as writer:
        writer.write({"x": value})
    return LocalDataset(local=folder)[0]["x"]


ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
colours = Image.fromarray(np.stack([ramp, ramp[::-1], ramp.T], -1))
file = io.BytesIO()
colours.quantize(16).save(file, "PNG")  # a PNG with a palette
palette = Image.open(io.BytesIO(file.getvalue()))
print("mosaicml-streaming", version("mosaicml-streaming"))
right = {}
for encoding in ("pil", "png"):
    for name, image in {"palette image": palette, "RGB image": palette.convert("RGB")}.items():
        read = written_and_read(encoding, image)
        off = np.abs(np.asarray(read.convert("RGB"), int) - np.asarray(image.convert("RGB"), int)).mean()
        right[encoding, name] = off == 0
        same = np.array_equal(np.asarray(read), np.asarray(image))
        print(f"{name} as {encoding}: mode {read.mode}, stored values equal: {same}, mean error in RGB {off:.1f}")
for dtype in ("<u2", ">u2", "<f4", ">f4"):
    array = np.arange(5).astype(dtype)
    read = written_and_read("ndarray", array)
    right["ndarray", dtype] = np.array_equal(read, array)
    print(f"array of {dtype} as ndarray: {array.tolist()} becomes {read.tolist()}")
try:
    written_and_read("ndarray:uint16", np.arange(5).astype(">u2"))
    refused = False
except ValueError as error:
    refused = True
    print("array of >u2 as ndarray:uint16:", error)
wrong = {key for key, fine in right.items() if not fine}
sys.exit(not (refused and wrong == {("pil", "palette image"), ("ndarray", ">u2"), ("ndarray", ">f4")}))
PY
