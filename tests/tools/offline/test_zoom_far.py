"""``foveal zoom`` with an object store, and on a cluster."""

import json
import subprocess
import sys
import textwrap

import pytest

from foveal.shards import Shards, ShardWriter
from foveal.shards.store import StoreError, open_store
from foveal.tools.offline.against import verify_against
from tests.shards.server import Forward, serving
from tests.time_limits import HANGS_AFTER_S
from tests.tools.offline.zooming import content, labelled, write_originals, zoom

OPTIONS = {"key": "key", "secret": "secret", "config_kwargs": {"retries": {"total_max_attempts": 1}}}


@pytest.fixture
def server(moto, new_bucket, monkeypatch):
    """Return an S3 server with a bucket, behind a server that refuses on request."""
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    with serving(Forward(moto)) as server:
        server.put = new_bucket("far")
        yield server


@pytest.mark.usefixtures("no_sheet")
def test_to_an_object_store_and_back(server, tmp_path):
    """The same shards are written as on a disk, also from remote shards, and after a failure of the store."""
    urls = write_originals(tmp_path / "in")
    for path in (tmp_path / "in").glob("*.tar"):
        server.put(f"in/{path.name}", path.read_bytes())
    far = OPTIONS | {"endpoint_url": server.url}
    zoom(urls, tmp_path / "near")
    zoom("s3://far/in/*.tar", "s3://far/out", storage_options=far, rank=0, world_size=3)
    server.site.refuses = "s-1_stats.json"
    with pytest.raises(StoreError, match=r"s3://far/out/s-1_stats.json cannot be written: "):
        zoom("s3://far/in/*.tar", "s3://far/out", storage_options=far)
    server.site.refuses = None
    zoom("s3://far/in/*.tar", "s3://far/out", storage_options=far)
    out = open_store("s3://far/out", far)
    out.remove("s-1.idx")
    zoom("s3://far/in/*.tar", "s3://far/out", storage_options=far)

    assert "s-1.idx" in out.names()
    assert not verify_against("s3://far/out", ["s3://far/in/*.tar"], storage_options=far)
    with (
        Shards("s3://far/out/*.tar", storage_options=far) as there,
        Shards(str(tmp_path / "near/*.tar")) as here,
    ):
        assert [(s.key, s.members) for s in there] == [(s.key, s.members) for s in here]


CLUSTER = """
import json, pathlib, sys, threading, time
import ray
from ray.cluster_utils import Cluster
from tests.tools.offline.zooming import zoom
from foveal.tools.console.ray_cluster import RayCluster
from foveal.tools.offline._ray import RayZoom

urls, out = sys.argv[1:]
out_stream = sys.stdout
cluster = Cluster()
nodes = [cluster.add_node(num_cpus=1, num_gpus=0, object_store_memory=80_000_000) for _ in range(3)]
cluster.wait_for_nodes()

def kill_one():
    while len(list(pathlib.Path(out).glob("*_stats.json"))) < 2:
        time.sleep(0.01)
    cluster.remove_node(nodes[1], allow_graceful=False)
    print("killed", len(list(pathlib.Path(out).glob("*_stats.json"))), file=sys.stderr)

killer = threading.Thread(target=kill_one)
killer.start()
with RayCluster(cluster.address) as reached:
    engine = RayZoom(reached)
    print(engine.device, file=sys.stderr)
    zoom(urls, out, engine=engine.zoom, lines=out_stream)
killer.join()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_cluster_that_loses_a_node(tmp_path):
    """Of three nodes one is killed: all shards are written as by one process."""
    pytest.importorskip("ray", reason="needs the extra foveal[ray]")
    urls = write_originals(tmp_path / "in", shards=12, samples=20)
    command = [sys.executable, "-c", textwrap.dedent(CLUSTER), urls, str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=HANGS_AFTER_S, check=False)
    assert run.returncode == 0, run.stderr
    zoom(urls, tmp_path / "alone")
    lines = [json.loads(line) for line in run.stdout.splitlines()]

    killed_at = int(run.stderr.split("killed ")[1].split()[0])
    assert killed_at < 12
    assert sorted(line["shard"] for line in lines) == sorted(f"s-{k}.tar" for k in range(12))
    assert content(tmp_path / "out") == content(tmp_path / "alone")
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []
    assert not verify_against(str(tmp_path / "out"), [urls])


@pytest.mark.slow
def test_an_error_on_a_node_is_the_error_here(tmp_path):
    """An error on a node is reported in one line, as it was raised."""
    pytest.importorskip("ray", reason="needs the extra foveal[ray]")
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write(labelled(0, png=b"something"))
    command = [
        sys.executable,
        "-m",
        "foveal.tools",
        "zoom",
        str(tmp_path / "a.tar"),
        "--ray",
        "local",
        "--format",
        "png",
    ]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
        check=False,
    )

    assert run.returncode == 1
    *_, last = run.stderr.splitlines()  # where Ray's threads print, too
    assert last.startswith("foveal: format must be one whose name no other member has, got 'png'")
    assert "Traceback" not in run.stderr
