import gc
import importlib
import json
import re
import warnings
from functools import partial

import pytest
import torch
from rich.console import Console
from torch.utils.data import DataLoader

from foveal.shards import Shards, ShardWriter
from foveal.tools.bench._check_loader import check_exact
from foveal.tools.bench._deal_samples import deal_samples
from foveal.tools.bench.peers import peers
from foveal.tools.bench.peers._check_resized import check_resized, resized_originals
from foveal.tools.bench.peers._peer import Peer
from foveal.tools.bench.peers._shared_files import find_shared
from foveal.tools.bench.peers.peers import bench_peers, installed, peer_makers, usable
from tests.pipeline.making import encode, picture

# Workers run wherever the tests do; on a machine with one processor torch advises against that.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning")

SIZE = 32


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Return seven pictures, of which five are different, in two shards."""
    folder = tmp_path_factory.mktemp("pictures")
    with ShardWriter(folder / "given.tar") as writer:
        for k in range(5):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 160 + 9 * k, 200), quality=95)})
    return Shards(
        deal_samples(Shards(folder / "given.tar"), folder / "dealt", 7, parts=2, console=Console(quiet=True))
    )


@pytest.fixture(scope="module")
def expected(shards):
    return resized_originals(shards, SIZE)


def test_dali_delivers_the_images(shards, expected):
    """DALI delivers the images in two epochs, each with a pipeline of its own."""
    from foveal.tools.bench.peers._dali import dali_peer

    peer = dali_peer(size=SIZE, batch_size=4, workers=1)
    batches = peer.batches(shards.urls)

    assert check_resized(batches, expected) < 1
    assert [len(batch) for batch in batches] == [4, 3]
    assert check_resized([peer.read(shards[2].members["jpg"])[None]], expected[2:3]) < 1


def test_nvimagecodec_delivers_the_images(shards, expected):
    """nvImageCodec delivers the images in two epochs, and a file that it cannot decode is reported."""
    pytest.importorskip("nvidia.nvimgcodec")
    from foveal.tools.bench.peers._nvimagecodec import nvimagecodec_peer

    peer = nvimagecodec_peer(size=SIZE, batch_size=4, workers=1)
    batches = peer.batches(shards.urls)

    assert check_resized(batches, expected) < 0.5
    assert [len(batch) for batch in batches] == [4, 3]
    with pytest.raises(ValueError, match="nvImageCodec does not decode it"):
        peer.read(shards[0].members["jpg"][:200])


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("library", ["pillow", "simplejpeg"])
def test_what_workers_decode(shards, expected, library, scaled):
    """The workers' function decodes right, at full scale and scaled down."""
    from foveal.tools.bench.peers import _pillow as _peer_pillow
    from foveal.tools.bench.peers import _simplejpeg as _peer_simplejpeg

    resized = {
        "pillow": partial(_peer_pillow.resized, size=SIZE, draft=scaled),
        "simplejpeg": partial(_peer_simplejpeg.resized, size=SIZE, scaled=scaled),
    }[library]
    images = torch.stack([resized(sample.members["jpg"]) for sample in shards])

    assert check_resized([images.float() / 255], expected) < (2 if scaled else 0.1)


@pytest.mark.parametrize(
    ("module", "needs"), [("_opencv", "cv2"), ("_pyvips", "pyvips"), ("_torchcodec", "torchcodec")]
)
def test_what_workers_decode_by_other_libraries(shards, expected, module, needs):
    """Other libraries that are installed decode the same."""
    try:
        importlib.import_module(needs)
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"{needs} does not load here: {error}")
    resized = importlib.import_module(f"foveal.tools.bench.peers.{module}").resized
    images = torch.stack([resized(sample.members["jpg"], size=SIZE) for sample in shards])

    assert check_resized([images.float() / 255], expected) < 2


def test_webdataset_reads_the_shards(shards, expected, monkeypatch):
    """webdataset's pipeline delivers the images in this process."""
    from foveal.tools.bench.peers import _webdataset as _peer_webdataset
    from foveal.tools.bench.peers._pillow import pillow_peer

    in_process = lambda data, **_: DataLoader(data, batch_size=None)  # noqa: E731 - in place of a class
    monkeypatch.setattr(_peer_webdataset, "DataLoader", in_process)
    peer = pillow_peer(size=SIZE, batch_size=4, workers=2).batches(shards.urls)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the cycle collector
        assert check_resized(peer, expected) < 0.1
        gc.collect()


def test_spdl_delivers_the_images(tmp_path):
    """SPDL, if it is installed, delivers the images."""
    spdl_io = pytest.importorskip("spdl.io")
    from foveal.tools.bench.peers._spdl import spdl_peer

    try:
        spdl_io.demux_image(encode(picture(0, 8, 8)))
    except RuntimeError as error:
        pytest.skip(f"SPDL does not load here: {error}")

    with ShardWriter(tmp_path / "pale.tar") as writer:
        for k in range(5):
            writer.write(
                {"__key__": f"{k}", "jpg": encode(picture(k, 160 + 9 * k, 200) // 4 + 96, quality=95)}
            )
    pale = Shards(tmp_path / "pale.tar")
    expected = resized_originals(pale, SIZE)
    peer = spdl_peer(size=SIZE, batch_size=4, workers=2)

    assert check_resized(peer.batches(pale.urls), expected) < 2
    assert check_resized([peer.read(pale[2].members["jpg"])[None]], expected[2:3]) < 2


def missing():
    raise ModuleNotFoundError("No module named 'ffcv'", name="ffcv")


def broken():
    raise RuntimeError("libavutil.so.61:\ncannot open shared object file")


def test_what_is_not_there_says_so():
    """A library that is not installed or does not load is named with the reason."""
    made, unusable = installed({"there": lambda: Peer(dict, dict), "missing": missing, "broken": broken})

    assert list(made) == ["there"]
    assert unusable == {
        "missing": "not installed (ffcv)",
        "broken": "not timed, as here libavutil.so.61: cannot open shared object file",
    }


def test_only_what_is_right_is_timed(expected):
    """A loader that fails or delivers something else is named with the reason, and not timed."""
    good, unusable = usable(
        {"right": lambda: [expected], "broken": broken, "wrong": lambda: [expected.flip(3)]}, expected
    )

    assert list(good) == ["right"]
    assert unusable["broken"] == "not timed, as here libavutil.so.61: cannot open shared object file"
    assert re.match("not timed, as here each image must agree to 4.0 grey levels", unusable["wrong"])


def test_an_error_of_a_row_of_ours_names_it(shards, monkeypatch):
    """If a loader of Foveal does not deliver the right images, the error names its row."""
    monkeypatch.setattr(peers, "peer_makers", lambda *_: {})
    with monkeypatch.context() as patched:
        patched.setattr(peers, "resized_originals", lambda *given: resized_originals(*given).flip(3))
        with pytest.raises(ValueError, match=r"^Foveal, uniform, decode auto: each image must agree to "):
            bench_peers(shards.urls, images=3, batch_size=2, repeats=1, size=SIZE)
    monkeypatch.setattr(peers, "check_of", lambda _: lambda key, _: check_exact(key, torch.ones(3, 2, 2)))
    with pytest.raises(ValueError, match=r"^Foveal, decode dali: 000000: pixels must agree to 0.0002"):
        bench_peers(shards.urls, images=3, batch_size=2, repeats=1, size=SIZE)


def test_ffcv_is_not_passed_over():
    """FFCV is named, whether it is installed or not, because it needs files of its own."""
    with pytest.raises((ModuleNotFoundError, ValueError), match=r"ffcv|files of its own"):
        peer_makers(SIZE, 4, 2)["FFCV"]()


def test_one_file_may_be_off_by_more_than_all_on_average(expected):
    """The tolerance of a single file is larger than that of the mean, as filters differ in fine detail."""
    softer = Peer(lambda file: expected[file[0]] + 3 / 255, dict)

    assert find_shared([bytes([k]) for k in range(7)], {"softer": softer}, expected).refused == {}
    with pytest.raises(ValueError, match=r"all images must agree to 2\.0 grey levels"):
        check_resized([expected + 3 / 255], expected)


def reader(images, *, fails=(), flips=()):
    """Return a loader of one-byte files, each of which is the number of its image."""

    def read(file):
        if file[0] in fails:
            raise RuntimeError(f"file {file[0]}:\nnot a JPEG")
        return images[file[0]].flip(2) if file[0] in flips else images[file[0]]

    return Peer(read, dict)


def test_a_file_that_one_cannot_read_is_left_out_for_all(expected):
    """A file that one loader refuses or reads wrong is left out for all and counted."""
    images = torch.cat([expected, expected])
    files = [bytes([k]) for k in range(14)]
    peers = {
        "good": reader(images),
        "refuses": reader(images, fails=[1, 3]),
        "flips": reader(images, flips=[3]),
        "knows few": reader(images, fails=range(4, 14)),
    }
    shared = find_shared(files, peers, [None if k == 9 else image for k, image in enumerate(images)])

    assert [file[0] for file in shared.files] == [0, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13]
    assert shared.refused == {"Foveal": 1, "refuses": 2, "flips": 1}
    assert shared.unusable == {"knows few": "not timed, as here it reads 5 of 14 files: file 4: not a JPEG"}
    assert shared.describe(14) == (
        "Left out for all: 3 of 14 files (Foveal cannot read 1, refuses cannot read 2, flips cannot read 1)."
    )
    assert find_shared(files, {"good": reader(images)}, images).describe(14) == ""


@pytest.mark.slow
def test_small_run(shards, tmp_path, capsys):
    """A small run prints its table and writes its file, although one picture is a PNG."""
    with ShardWriter(tmp_path / "more.tar") as writer:
        writer.write({"__key__": "png", "png": encode(picture(9, 170, 200), "PNG")})
    timings = bench_peers(
        [*shards.urls, str(tmp_path / "more.tar")],
        images=8,
        batch_size=4,
        repeats=1,
        size=SIZE,
        json_path=tmp_path / "peers.json",
    )
    report = json.loads((tmp_path / "peers.json").read_text())

    assert report["cases"].keys() == timings.keys() >= {"DALI decode only", "DALI pipeline", *report["ours"]}
    for name, reason in report["unusable"].items():
        assert reason.startswith("not installed") or name in {"FFCV", "SPDL"} or "torchcodec" in name
    assert sum("simplejpeg" in name for name in timings) == 2
    assert {count for name, count in report["refused"].items() if "simplejpeg" in name} == {1}
    printed = capsys.readouterr().out
    assert "webdataset, DataLoader" in printed
    assert "Left out for all: 1 of 8 files" in printed
