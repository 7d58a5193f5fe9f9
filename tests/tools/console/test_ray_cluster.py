"""Verbs that distribute their work over a Ray cluster write the same as without."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from foveal.pipeline import Quarantine
from foveal.shards import ShardWriter
from foveal.tools._index import index_shards
from foveal.tools._verify import verify_shards
from foveal.tools.packing.pack import pack
from tests.pipeline.making import encode, picture
from tests.time_limits import HANGS_AFTER_S

ray = pytest.importorskip("ray", reason="needs the extra foveal[ray]")


def write_shards(folder: Path) -> str:
    """Write three shards of four images, of which one is cut and one empty."""
    folder.mkdir()
    for shard in range(3):
        with ShardWriter(folder / f"s-{shard}.tar") as writer:
            for k in range(4):
                file = {(1, 2): encode(picture(0, 400, 600))[:3000], (2, 0): b""}.get((shard, k))
                writer.write(
                    {"__key__": str(k), "jpg": file if file is not None else encode(picture(k, 20, 30))}
                )
    return str(folder / "*.tar")


def write_pictures(folder: Path) -> Path:
    for k in range(9):
        path = folder / f"class{k % 3}" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(k, 20, 30)).save(path)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Return the content of each file, without the time of the shard in an index."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return {path.name: re.sub(rb"mtime_ns=\d+", b"", path.read_bytes()) for path in files}


def elsewhere(task, shared, items):
    """Distribute work as a cluster does: everything is pickled, and the last item comes first."""
    import pickle

    for item in reversed(items):
        task_there, shared_there, item_there = pickle.loads(pickle.dumps((task, shared, item)))
        yield item, pickle.loads(pickle.dumps(task_there(shared_there, item_there)))


def test_in_any_order_the_same_comes_out(tmp_path, capsys):
    """Indexes, findings and packed shards do not depend on the order in which shards are done."""
    urls, pictures = write_shards(tmp_path / "in"), write_pictures(tmp_path / "pictures")
    bad = {}
    for name, how in (("here", {}), ("there", {"distribute": elsewhere})):
        index_shards([urls], force=True, **how)
        (tmp_path / f"{name}-index").mkdir()
        for path in Path(urls).parent.glob("*.idx"):
            shutil.copy(path, tmp_path / f"{name}-index")
        assert verify_shards([urls], quarantine=tmp_path / f"{name}.jsonl", **how)
        bad[name] = [(one.url, one.key, one.fault) for one in Quarantine(tmp_path / f"{name}.jsonl").read()]
        packed = pack(pictures, tmp_path / name, shard_size=1000, **how)
        assert [Path(shard).name for shard in packed.shards] == sorted(
            p.name for p in (tmp_path / name).glob("*.tar")
        )

    assert len(bad["here"]) == 2
    assert bad["there"] == bad["here"]
    assert content(tmp_path / "there-index") == content(tmp_path / "here-index")
    assert len(content(tmp_path / "here")) > 5
    assert content(tmp_path / "there") == content(tmp_path / "here")
    here, there = (part for part in capsys.readouterr().out.split("megapixels in")[:2])
    assert "10 images decoded; 2 bad" in " ".join(there.split())
    assert "10 images decoded; 2 bad" in " ".join(here.split())


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["index", "verify", "pack"])
def test_on_a_cluster(verb, tmp_path):
    """The command with ``--ray local``, on relative paths, writes the same as without."""
    write_shards(tmp_path / "in")
    pictures = write_pictures(tmp_path / "pictures")
    arguments = {
        "index": ["in/*.tar", "--overwrite"],
        "verify": ["in/*.tar", "--quarantine", "bad.jsonl"],
        "pack": [pictures.name, "--out", "out", "--shard-size", "1KB", "--overwrite"],
    }[verb]
    written = []
    for options in ([], ["--ray", "local"]):
        run = subprocess.run(
            [sys.executable, "-m", "foveal.tools", verb, *arguments, *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=HANGS_AFTER_S,
            env=os.environ | {"COLUMNS": "200"},
        )
        assert run.returncode == (verb == "verify"), run.stderr
        folder = {"index": tmp_path / "in", "verify": tmp_path, "pack": tmp_path / "out"}[verb]
        written.append(content(folder) | {"said": run.stdout.split(" megapixels")[0].encode()})
        (tmp_path / "bad.jsonl").unlink(missing_ok=True)

    assert len(written[0]) > 1
    assert written[1] == written[0]


def test_a_cluster_that_is_not_there():
    """A missing cluster is an error of one line."""
    from foveal.tools.console.ray_cluster import ClusterError, RayCluster

    with pytest.raises(
        ClusterError, match=r"ray cluster 'auto' cannot be reached: Could not find any running Ray instance"
    ):
        RayCluster("auto").__enter__()


class FailingRay:
    """Ray, on whose only node each task fails."""

    put = staticmethod(lambda value: value)
    wait = staticmethod(lambda tasks: ([tasks[0]], tasks[1:]))
    cancel = staticmethod(lambda task: None)

    @staticmethod
    def remote(task):
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda common, item: item))

    @staticmethod
    def get(item):
        raise ray.exceptions.RayTaskError("task", f"Traceback of the node for {item}", KeyError(item))


def test_the_traceback_of_a_node_is_kept(monkeypatch):
    """What a task raised is raised here, and its cause holds the traceback of the node on which that was."""
    from foveal.tools.console import ray_cluster

    monkeypatch.setattr(ray_cluster, "ray", FailingRay)

    with pytest.raises(KeyError) as caught:
        next(ray_cluster.RayCluster("local").each(print, None, ["a", "b"]))

    assert caught.value.__cause__.traceback_str == "Traceback of the node for a"
