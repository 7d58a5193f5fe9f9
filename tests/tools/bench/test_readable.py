"""Bad images among a user's shards are left out of a benchmark."""

import io
import json
import re

import pytest
from rich.console import Console

from foveal.shards import Shards, ShardWriter
from foveal.tools.bench._deal_samples import deal_samples
from foveal.tools.bench._faults import bench_faults
from foveal.tools.bench._readable import readable
from foveal.tools.bench._zoom import bench_zoom
from foveal.tools.bench.kernels.quality import bench_quality
from tests.pipeline.making import encode, picture


def write(path, files):
    with ShardWriter(path) as writer:
        for key, member in files.items():
            writer.write({"__key__": key, **member})
    return str(path)


@pytest.fixture
def mixed(tmp_path):
    """Return a shard with two good images, and between them no image, no image file, and one that is cut."""
    good = [encode(picture(k, 40, 50)) for k in range(3)]
    files = {
        "first": {"jpg": good[0]},
        "text": {"cls": 3},
        "page": {"jpg": b"<html>"},
        "cut": {"jpg": good[1][: len(good[1]) // 2]},
        "last": {"jpg": good[2]},
    }
    return write(tmp_path / "mixed.tar", files)


def test_bad_images_are_left_out_and_counted(mixed):
    """What cannot be decoded is left out, and a line says how many there are, and the first one's shard, key and fault."""
    console = Console(file=io.StringIO())

    assert readable(Shards(mixed), range(5), console) == [0, 4]
    said = console.file.getvalue()
    assert said.startswith(f"Left out for all: 3 of 5 samples, which are bad; the first: {mixed}: text: ")
    assert readable(Shards(mixed), [0, 4], console) == [0, 4]
    assert console.file.getvalue() == said


def test_nothing_good_is_an_error(tmp_path):
    """Shards without a good image are refused, and the error says what is wrong with the first."""
    path = write(tmp_path / "bad.tar", {"a": {"jpg": b"x"}, "b": {"jpg": b""}})
    message = f"urls must hold at least one good image, got 2 bad ones, the first: {path}: a: image "

    with pytest.raises(ValueError, match=re.escape(message) + ".* – run `foveal verify` on the shards."):
        readable(Shards(path), range(2), Console(quiet=True))
    with pytest.raises(
        ValueError, match=re.escape("urls must hold at least one good image, got 0 bad ones – run")
    ):
        readable(Shards(path), [], Console(quiet=True))


def test_only_good_images_are_dealt(mixed, tmp_path):
    """Good images are repeated in the place of bad ones."""
    [path] = deal_samples(Shards(mixed), tmp_path / "out", 5, console=Console(quiet=True))
    first, last = (Shards(mixed)[k].members["jpg"] for k in (0, 4))

    assert [sample.members["jpg"] for sample in Shards(path)] == [first, last, first, last, first]


def test_benchmarks_of_shards_with_bad_images(mixed, tmp_path, capsys):
    """Benchmarks that read a user's shards run on the good images."""
    bench_zoom([mixed], repeats=1, size=16, json_path=tmp_path / "zoom.json")
    bench_faults([mixed], images=4, percent=25, batch_size=2, repeats=1, size=16)
    bench_quality([mixed], size=16)

    report = json.loads((tmp_path / "zoom.json").read_text())
    assert (report["images"], report["pixels"]) == (2, 2 * 40 * 50)
    printed = capsys.readouterr().out
    assert printed.count("Left out for all: 3 of 5 samples, which are bad; the first: ") == 2
    assert printed.count("Left out for all: 2 of 4 samples, which are bad; the first: ") == 1
