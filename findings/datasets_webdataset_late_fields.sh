#!/usr/bin/env bash
# datasets 5.2.0: load_dataset("webdataset") drops labels and images of a kind that the first five samples of one shard do not have.
#
# Expected: what is in the shards, with None where a sample has no such file, which is what samples get that lack a file of the usual kinds;
# or an error, as it gives for shards whose first five samples differ. The webdataset library gives each sample's own files.
# Seen: the columns are those of the first five samples of one shard, the first one of the last split. What other samples, shards and splits
# have besides, labels as well as images in another format (.jpg among .png), is left out without an error or a warning, streamed or
# not: a test split without labels takes those of the training split away, and images that are there come as None.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 pillow==13.0.0 numpy==2.4.6

cd "$folder"
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
venv/bin/python - <<'PY'
import io
import sys
import tarfile

import datasets
from PIL import Image

datasets.disable_progress_bars()
SAMPLES = 8


def shard(path, labels=range(SAMPLES), jpegs=(), first=0):
    """Samples of one picture each, some of them with a label and some as JPEG files."""
    members = []
    for number in range(SAMPLES):
        kind = "jpg" if number in jpegs else "png"
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(picture, "JPEG" if kind == "jpg" else "PNG")
        members.append((f"{first + number:04}.{kind}", picture.getvalue()))
        if number in labels:
            members.append((f"{first + number:04}.cls", str(number).encode()))
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


labelled, unlabelled = shard("labelled.tar"), shard("unlabelled.tar", labels=(), first=SAMPLES)
cases = {
    "all have a label": {"train": [labelled]},
    "the last two lack a label": {"train": [shard("first.tar", labels=range(6))]},
    "only the last two have a label": {"train": [shard("last.tar", labels=(6, 7))]},
    "only the second shard has labels": {"train": [unlabelled, labelled]},
    "only the training split has labels": {"train": [labelled], "test": [unlabelled]},
    "the last two are JPEG files": {"train": [shard("jpegs.tar", jpegs=(6, 7))]},
    "the second is a JPEG file": {"train": [shard("early.tar", jpegs=(1,))]},
}
print("datasets", datasets.__version__, "- pictures and labels in the training split's shards, and pictures and labels loaded")
found = {}
for name, files in cases.items():
    for streaming in (False, True):
        members = [member for path in files["train"] for member in tarfile.open(path).getnames()]
        labels = sum(member.endswith(".cls") for member in members)
        try:
            rows = list(datasets.load_dataset("webdataset", data_files=files, split="train", streaming=streaming))
        except ValueError as error:
            found[name, streaming] = "refused"
            print(f"{name}{', streamed' if streaming else ''}: {str(error)[:60]}...")
            continue
        pictures_loaded = sum(row.get(kind) is not None for row in rows for kind in ("png", "jpg"))
        labels_loaded = sum(row.get("cls") is not None for row in rows)
        found[name, streaming] = len(members) - labels - pictures_loaded, labels - labels_loaded
        print(f"{name}{', streamed' if streaming else ''}: {len(members) - labels} and {labels}, {pictures_loaded} and {labels_loaded}")
missing = [(0, 0), (0, 0), (0, 2), (0, 8), (0, 8), (2, 0), "refused"]
sys.exit(list(found.values()) != [result for result in missing for _ in range(2)])
PY
