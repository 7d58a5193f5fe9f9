#!/usr/bin/env bash
# megatron-energon 7.4.1: `energon info` cannot describe a dataset of the type CrudeWebdataset.
#
# Expected: `energon prepare --sample-type CrudeWebdataset` writes a dataset.yaml with __module__ and __class__ alone, and says that no
# field map is needed. `energon info` then describes the dataset, as it does for other sample types.
# Seen: `energon info` reads the entry "sample_type", which that file does not have, and ends with KeyError: 'sample_type'.
# The dataset itself is fine: a task encoder with a cooker reads it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet megatron-energon==7.4.1 numpy==2.4.6 pillow==13.0.0

"$folder/venv/bin/python" - "$folder/data" <<'PY'
import io, json, sys, tarfile
from pathlib import Path

from PIL import Image

folder = Path(sys.argv[1])
folder.mkdir()
picture = io.BytesIO()
Image.new("RGB", (16, 16), (200, 100, 50)).save(picture, "JPEG")
for part in range(2):
    with tarfile.open(folder / f"part-{part}.tar", "w") as tar:
        for key in range(4):
            members = {"jpg": picture.getvalue(), "json": json.dumps({"label": key}).encode()}
            for extension, content in members.items():
                member = tarfile.TarInfo(f"{part}{key}.{extension}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
PY

energon="$folder/venv/bin/energon"
"$energon" --version
"$energon" prepare --non-interactive --split-ratio 1,0,0 --sample-type CrudeWebdataset "$folder/data" > "$folder/prepared"
cat "$folder/data/.nv-meta/dataset.yaml"
if "$energon" info "$folder/data" > "$folder/said" 2>&1; then
    echo "changed: energon info describes the dataset"
    exit 1
fi
tail -n 1 "$folder/said"
grep -q "^KeyError: 'sample_type'$" "$folder/said" || { echo "changed: another error"; exit 1; }
