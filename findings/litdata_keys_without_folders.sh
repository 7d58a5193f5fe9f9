#!/usr/bin/env bash
# litdata 0.2.76: iter_webdataset_tar takes two samples of a WebDataset shard for one if they have the same name in different folders.
#
# Expected: the key of a WebDataset sample is its path up to the first dot of the file's name, so that cat/0.jpg and dog/0.jpg belong to
# two samples. webdataset yields two.
# Seen: litdata drops the folder. Of neighbours the later overwrites the earlier, whose picture is lost without a warning; where others lie
# in between, both are yielded under the same key.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet webdataset==1.0.2 numpy==2.4.6 boto3 filelock lightning-utilities==0.15.3 obstore requests tifffile
"$folder/venv/bin/pip" install --quiet --no-deps litdata==0.2.76 # what is left out, torchvision, is not needed here

cd "$folder"
venv/bin/python - <<'PY'
import io
import sys
import tarfile

import litdata
import webdataset

with tarfile.open("shard.tar", "w") as tar:
    for name in ("cat/0.txt", "cat/0.cls", "dog/0.txt", "dog/0.cls"):
        content = name.encode()
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))

found = {
    "webdataset": [(s["__key__"], s["txt"]) for s in webdataset.WebDataset("shard.tar", shardshuffle=False)],
    "litdata": [(s["__key__"], s["txt"]) for s in litdata.iter_webdataset_tar("shard.tar")],
}
print("litdata", litdata.__version__)
for name, samples in found.items():
    print(f"{name}: {samples}")
sys.exit(found["webdataset"] != [("cat/0", b"cat/0.txt"), ("dog/0", b"dog/0.txt")] or found["litdata"] != [("0", b"dog/0.txt")])
PY
