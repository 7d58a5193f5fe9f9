#!/usr/bin/env bash
# litdata 0.2.76 and datasets 5.2.0 store the file of a JPEG that was opened, not the image that they are given.
#
# Expected: a dataset that is written from images has these images: what Pillow's thumbnail has made smaller and what ImageDraw has painted
# over. Both change an image in place, as their documentation says, and the boxes that a program scales with the image fit only
# the changed one.
# Seen: both take an image with a file name for its file. litdata copies the bytes of the file and datasets notes its path, so that the
# pictures come out in full size and without what was drawn, and no warning is given. Of a PNG file litdata stores what it is given;
# datasets does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 numpy==2.4.6 pillow==13.0.0 boto3 filelock lightning-utilities==0.15.3 obstore requests tifffile
"$folder/venv/bin/pip" install --quiet --no-deps litdata==0.2.76 # what is left out, torchvision, is not needed here

cd "$folder"
cat > edited.py <<'PY'
import io
import sys
from importlib.metadata import version

import datasets
import litdata
import numpy as np
from litdata.streaming.serializers import JPEGSerializer
from PIL import Image, ImageDraw


def edited(path):
    image = Image.open(path)
    if "small" in path:
        image.thumbnail((64, 64))
    else:
        ImageDraw.Draw(image).rectangle((20, 20, 80, 80), "white")
    return image


def sample(path):
    return {"image": edited(path)}


class ByPillow(JPEGSerializer):  # its own way to decode wants torchvision
    def deserialize(self, data):
        return Image.open(io.BytesIO(data))


def by_litdata(path):
    return np.asarray(litdata.StreamingDataset("litdata-" + path, serializers={"jpeg": ByPillow()})[0]["image"])


def by_datasets(path):
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_list([sample(path)], features=features).save_to_disk("datasets-" + path)
    return np.asarray(datasets.load_from_disk("datasets-" + path)[0]["image"])


PATHS = [f"{what}.{kind}" for kind in ("jpg", "png") for what in ("small", "covered")]
if __name__ == "__main__":
    datasets.disable_progress_bars()
    y, x = np.mgrid[:120, :160]
    picture = Image.fromarray(np.stack([x, y, (x + y) // 2], 2).astype(np.uint8))
    for path in PATHS:
        picture.save(path)
        litdata.optimize(sample, [path], "litdata-" + path, chunk_size=1, num_workers=1, verbose=False)
    print(*(f"{name} {version(name)}" for name in ("litdata", "datasets")))
    unedited = set()
    for path in PATHS:
        given = np.asarray(edited(path)).astype(int)
        for name, reader in (("litdata", by_litdata), ("datasets", by_datasets)):
            seen = reader(path).astype(int)
            same = seen.shape == given.shape and np.abs(seen - given).max() < 30  # JPEG is lossy
            if not same:
                unedited.add((name, path))
            print(f"{path}, {name}: given {given.shape}, read {seen.shape}, {'the same' if same else 'not the same'}")
    expected = {(name, path) for name in ("litdata", "datasets") for path in PATHS}
    expected -= {("litdata", path) for path in PATHS if path.endswith("png")}
    sys.exit(unedited != expected)
PY
venv/bin/python edited.py
