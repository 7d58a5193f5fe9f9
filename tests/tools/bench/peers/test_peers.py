import gc
import json
import re
import warnings
from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader

from foveal.shards import Shards, ShardWriter
from foveal.tools.bench._deal_samples import deal_samples
from foveal.tools.bench.peers._check_resized import check_resized, resized_originals
from foveal.tools.bench.peers.peers import bench_peers, peer_makers, usable
from tests.pipeline.making import encode, picture

# Workers run wherever the tests do; on a machine with one processor torch advises against that.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning")

SIZE = 32


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Seven pictures, of which five are different, in two shards."""
    folder = tmp_path_factory.mktemp("pictures")
    with ShardWriter(folder / "given.tar") as writer:
        for k in range(5):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 160 + 9 * k, 200), quality=95)})
    return Shards(deal_samples(Shards(folder / "given.tar"), folder / "dealt", 7, parts=2))


@pytest.fixture(scope="module")
def expected(shards):
    return resized_originals(shards, SIZE)


def test_dali_delivers_the_images(shards, expected):
    """Twice: each epoch has a pipeline of its own."""
    from foveal.tools.bench.peers._dali import DaliPeer

    peer = DaliPeer(shards.urls, size=SIZE, batch_size=4, workers=1)

    assert check_resized(peer, expected) < 1
    assert [len(batch) for batch in peer] == [4, 3]


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("library", ["pillow", "simplejpeg"])
def test_what_workers_decode(shards, expected, library, scaled):
    """The function that runs in the workers, at full scale and scaled down."""
    from foveal.tools.bench.peers import _pillow as _peer_pillow
    from foveal.tools.bench.peers import _simplejpeg as _peer_simplejpeg

    resized = {
        "pillow": partial(_peer_pillow.resized, size=SIZE, draft=scaled),
        "simplejpeg": partial(_peer_simplejpeg.resized, size=SIZE, scaled=scaled),
    }[library]
    images = torch.stack([resized(sample.members["jpg"]) for sample in shards])

    assert check_resized([images.float() / 255], expected) < (2 if scaled else 0.1)


def test_webdataset_reads_the_shards(shards, expected, monkeypatch):
    """Its pipeline as it is, in this process instead of workers."""
    from foveal.tools.bench.peers import _webdataset as _peer_webdataset
    from foveal.tools.bench.peers._pillow import pillow_peer

    in_process = lambda data, **_: DataLoader(data, batch_size=None)  # noqa: E731 - in place of a class
    monkeypatch.setattr(_peer_webdataset, "DataLoader", in_process)
    peer = pillow_peer(shards.urls, size=SIZE, batch_size=4, workers=2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the cycle collector
        assert check_resized(peer, expected) < 0.1
        gc.collect()


def test_spdl_delivers_the_images(shards, expected):
    """Where it and FFmpeg's libraries are there."""
    spdl_io = pytest.importorskip("spdl.io")
    from foveal.tools.bench.peers._spdl import SpdlPeer

    try:
        spdl_io.demux_image(shards[0].members["jpg"])
    except RuntimeError as error:
        pytest.skip(f"SPDL does not load here: {error}")

    assert check_resized(SpdlPeer(shards.urls, size=SIZE, batch_size=4, workers=2), expected) < 2


def test_only_what_is_there_and_right_is_timed(expected):
    """What is not installed, what fails and what delivers something else are each named, with the reason."""

    def missing():
        raise ModuleNotFoundError("No module named 'ffcv'", name="ffcv")

    def broken():
        raise RuntimeError("libavutil.so.61:\ncannot open shared object file")

    good, unusable = usable(
        {
            "right": lambda: [expected],
            "missing": missing,
            "broken": broken,
            "wrong": lambda: [expected.flip(3)],
        },
        expected,
    )

    assert list(good) == ["right"]
    assert unusable["missing"] == "not installed (ffcv)"
    assert unusable["broken"] == "not timed, as here libavutil.so.61: cannot open shared object file"
    assert re.match("not timed, as here each image must agree to 4.0 grey levels", unusable["wrong"])


def test_ffcv_is_not_passed_over(shards):
    """It is named, whether it is installed or not: its files are its own."""
    with pytest.raises((ModuleNotFoundError, ValueError), match=r"ffcv|files of its own"):
        peer_makers(shards.urls, SIZE, 4, 2)["FFCV"]()


@pytest.mark.slow
def test_small_run(shards, tmp_path, capsys):
    """A small run prints its table and writes its file."""
    timings = bench_peers(
        shards.urls, images=7, batch_size=4, repeats=1, size=SIZE, json_path=tmp_path / "peers.json"
    )
    report = json.loads((tmp_path / "peers.json").read_text())

    assert report["cases"].keys() == timings.keys() >= {"DALI decode only", "DALI pipeline", *report["ours"]}
    assert set(report["unusable"]) <= {"FFCV", "SPDL"}
    assert "webdataset, DataLoader" in capsys.readouterr().out
