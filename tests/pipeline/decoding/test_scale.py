"""What a process needs does not grow with the number of shards."""

import json
import subprocess
import sys
import tarfile
import textwrap
from io import BytesIO

import pytest

from foveal.shards import write_index
from tests.pipeline.making import encode, picture
from tests.time_limits import HANGS_AFTER_S

SHARDS = 10_000
RUN = """
import gc, json, os, sys, time
from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import Shards

def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

url, warm_up = sys.argv[1:]
with ZoomLoader(warm_up, UniformSampler(8), batch_size=16) as loader:
    list(loader)  # libraries are loaded, code is compiled
found = {"before": resident()}
start = time.perf_counter()
shards = Shards(url)
found |= {"seconds": time.perf_counter() - start, "samples": len(shards), "shards": resident()}
start = time.perf_counter()
with ZoomLoader(url, UniformSampler(8), batch_size=16, shuffle=True) as loader:
    batches = iter(loader)
    next(batches)
    found["first batch"] = time.perf_counter() - start
    files = []
    for _ in zip(range(100), batches):
        files.append(len(os.listdir("/proc/self/fd")))
    found |= {"loader": resident(), "files": max(files)}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_ten_thousand_shards(tmp_path, capsys):
    """The index of a shard takes at most a kilobyte, and at most a hundred files are open."""
    image = encode(picture(0, 8, 8))
    for number in range(SHARDS):
        with tarfile.open(tmp_path / f"{number:05d}.tar", "w") as tar:
            for key in range(2):
                for name, content in ((f"{key}.jpg", image), (f"{key}.cls", b"1")):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, BytesIO(content))
        write_index(tmp_path / f"{number:05d}.tar")
    urls = [str(tmp_path / name) for name in (f"{{00000..{SHARDS - 1:05d}}}.tar", "00000.tar")]
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUN), *urls],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS_AFTER_S,
    )
    found = json.loads(run.stdout)
    with capsys.disabled():
        sys.stdout.write(f"\n  {found}\n")

    assert found["samples"] == 2 * SHARDS
    assert found["shards"] - found["before"] < SHARDS / 1024
    assert found["loader"] - found["before"] < SHARDS / 1024 + 100
    assert found["files"] < 120
