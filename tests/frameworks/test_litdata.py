"""What ``foveal zoom`` writes is read by litdata, which converts shards to its own chunks."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from foveal.shards import Shards
from tests.time_limits import HANGS_AFTER_S
from tests.tools.offline.zooming import write_originals, zoom

# Of a module that is run: litdata starts processes that import it again.
CONVERT = """
import sys
from pathlib import Path
import litdata

def samples(shard):
    for sample in litdata.iter_webdataset_tar(shard):
        yield {"key": sample["__key__"], "image": sample["png"], "label": int(sample["cls"])}

if __name__ == "__main__":
    folder, chunks = sys.argv[1:]
    shards = sorted(str(path) for path in Path(folder).glob("*.tar"))
    litdata.optimize(fn=samples, inputs=shards, output_dir=chunks, chunk_bytes="64MB", num_workers=1)
"""
READ = """
import sys
import litdata

if __name__ == "__main__":
    for sample in litdata.StreamingDataset(sys.argv[1]):
        print(sample["key"], sample["label"], sample["image"].hex())
"""


@pytest.mark.slow
def test_a_folder_of_zoomed_shards_is_converted_and_read(tmp_path):
    """Every sample is read once and in order, with its label and the bytes of its image."""
    pytest.importorskip("litdata", reason="litdata is installed by `make test-all`")
    zoom(write_originals(tmp_path / "in"), tmp_path / "out")
    for name, code, arguments in (("convert", CONVERT, ["out", "chunks"]), ("read", READ, ["chunks"])):
        (tmp_path / f"{name}.py").write_text(code)
        run = subprocess.run(
            [sys.executable, f"{name}.py", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=HANGS_AFTER_S,
            check=False,
        )
        assert run.returncode == 0, run.stderr

    found = [line.split() for line in run.stdout.splitlines()]
    with Shards(str(tmp_path / "out/*.tar")) as shards:
        written = [
            (s.key.rpartition("/")[2], s.members["cls"].decode(), s.members["png"].hex()) for s in shards
        ]
    assert [tuple(line) for line in found] == written
    assert np.asarray(Image.open(io.BytesIO(bytes.fromhex(found[0][2])))).shape == (24, 24, 3)
