"""Indexes of shards on web servers, and shards that have to be copied."""

import bz2
import gzip
import lzma
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import zstandard

from foveal.shards import IndexWarning, ShardError, Shards, ShardWarning, write_index
from foveal.shards.index import parse_stamp
from tests.shards.index.dali import dali_index
from tests.shards.reading import by_foveal, by_webdataset, make_tar, samples, tar_bytes
from tests.shards.remote.small_tar import TAR
from tests.shards.server import Files, serving


def test_a_server_without_ranges_needs_copies(hasty, tmp_path):
    """If a server sends only whole files, local copies are used, or an error says how to enable them."""
    tar = make_tar(tmp_path / "t.tar", samples("abc", size=50_000))
    reason = (
        "its server sends no parts of files: set cache_size (foveal train: --cache-size) to at least the "
        f"{tar.stat().st_size:,} bytes of this shard, so that whole shards are kept, or copy the shards to a disk"
    )
    with serving(Files({"/t.tar": tar.read_bytes()})) as server:
        server.site.ranges = False
        url = f"{server.url}/t.tar"
        for size in (None, "100kB"):  # none, or too small
            with pytest.raises(ShardError, match=f"^{re.escape(f'{url}: {reason}')}$"):
                Shards(url, cache_size=size)
        assert by_foveal(url, cache_size="1MB") == by_webdataset(tar)


@pytest.mark.parametrize("write", [write_index, dali_index, lambda tar: dali_index(tar, "v1.1")])
def test_takes_the_index_beside_the_shard(hasty, tmp_path, write):
    """Foveal's and DALI's v1.2 and v1.1 indexes are read from the server; the cache then has Foveal's."""
    tar = make_tar(tmp_path / "t.tar", samples("abc", size=2_000_000))
    index = write(tar).read_bytes()
    with serving(Files({"/t.tar": tar.read_bytes(), "/t.idx": index})) as server:
        assert by_foveal(f"{server.url}/t.tar", cache_dir=tmp_path / "c") == by_webdataset(tar)
        (kept,) = (tmp_path / "c").iterdir()
        assert parse_stamp(kept.read_bytes()).size == tar.stat().st_size


def test_an_index_saves_requests(hasty, tmp_path):
    """With a v1.2 index only the ends of the tar are compared with it."""
    tar = make_tar(tmp_path / "t.tar", samples([f"{k:02}" for k in range(12)], exts=["jpg"], size=2_000_000))
    with serving(Files({"/t.tar": tar.read_bytes(), "/t.idx": write_index(tar).read_bytes()})) as server:
        Shards(f"{server.url}/t.tar")
        with_index = len(server.requests)
        del server.site.files["/t.idx"]
        Shards(f"{server.url}/t.tar", cache_dir=tmp_path / "c")

    assert with_index <= 5
    assert len(server.requests) - with_index > 12


@pytest.mark.parametrize(
    "index", [b"<html>", b"v1.2 1\njpg 512 1 x.jpg\n", b"v1.2 0\n# foveal size=5 mtime_ns=3\n"]
)
def test_an_index_that_does_not_fit_is_put_aside(server, expected, index):
    """A wrong index beside a shard is ignored with a warning that leaves out the URL's signature."""
    server.site.files["/t.idx"] = index

    with pytest.warns(
        ShardWarning, match=r"^1 index file.*/t\.idx' (is unreadable|does not agree|was written)"
    ):
        assert by_foveal(f"{server.url}/t.tar?X-Amz-Signature=abc") == expected


CHUNKED = {"Transfer-Encoding": "chunked"}, b"6\r\n<html>\r\n0\r\n\r\n"  # a page for any name


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 405, 410, 418])
def test_no_index_in_whatever_words(server, expected, recwarn, status):
    """Whatever a server says of an index that it does not have, the shard is read, after one request for it."""
    files = server.site

    def site(method, path, headers):
        said = CHUNKED if status == 200 else ({}, b"")
        return (status, *said) if path.endswith(".idx") else files(method, path, headers)

    server.site = site
    assert by_foveal(f"{server.url}/t.tar") == expected
    assert [r.status for r in server.requests if r.path == "/t.idx"] == [status]
    assert not [w for w in recwarn if issubclass(w.category, ShardWarning)]


def test_an_index_that_a_server_fails_to_send(server, expected):
    """An index that may exist and cannot be had is asked for again, and then the shard is read without it."""
    files = server.site

    def site(method, path, headers):
        return (500, {}, b"") if path.endswith(".idx") else files(method, path, headers)

    server.site = site
    message = (
        f"1 index file(s) beside a tar put aside and worked out anew, the first: '{server.url}/t.idx' cannot be read in "
        "6 attempts: HTTP 500 Internal Server Error (6 times): run `foveal index` on the shards to replace them"
    )
    with pytest.warns(IndexWarning, match=f"^{re.escape(message)}$"):
        assert by_foveal(f"{server.url}/t.tar") == expected


PACKED_AS = {
    "t.tgz": gzip.compress,
    "t.tar.gz": gzip.compress,
    "t.tar.bz2": bz2.compress,
    "t.tar.xz": lzma.compress,
    "t.tar.zst": zstandard.compress,
}


@pytest.mark.parametrize("name", PACKED_AS)
def test_a_packed_shard_is_unpacked_once(hasty, tmp_path, expected, name):
    """A compressed shard is fetched whole and kept decompressed until it changes."""
    with serving(Files({f"/{name}": PACKED_AS[name](TAR)})) as server:
        url, cache = f"{server.url}/{name}?X-Amz-Signature=abc", tmp_path / "c"
        server.faults = ["short", "reset"]
        assert by_foveal(url, cache_dir=cache) == expected
        server.requests.clear()
        assert by_foveal(url, cache_dir=cache) == expected
        assert [r.sent for r in server.requests] == [1]

        server.site.replace(f"/{name}", PACKED_AS[name](tar_bytes(samples("xy"))))
        assert [key for key, _ in by_foveal(url, cache_dir=cache)] == ["x", "y"]
        assert len(list(cache.glob("*.tar"))) == 1


def test_nothing_is_printed_of_shards_that_are_given_up(tmp_path):
    """If many shards are missing, the error of one is raised, and nothing is printed about the others."""
    with serving(Files({})) as server:
        code = (
            "from foveal.shards import Shards, ShardError\n"
            "for _ in range(8):\n"
            "    try:\n"
            f"        Shards('{server.url}/{{00..31}}.tar', cache_dir={str(tmp_path)!r})\n"
            "    except ShardError as error:\n"
            "        print(error.reason)\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
        )

    assert ran.stdout.splitlines() == ["does not exist: HTTP 404 Not Found"] * 8
    assert ran.stderr == ""


def test_interrupted_while_shards_are_opened(tmp_path):
    """Ctrl-C ends the opening of shards at once, though a server does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.tar"
        # A process that a script has put into the background ignores SIGINT, and so do its children.
        code = (
            "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nfrom foveal.shards import Shards\n"
            f"print('open', flush=True)\nShards({url!r}, cache_dir={str(tmp_path)!r})"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.readline()
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)

    assert b"KeyboardInterrupt" in said


def test_opening_when_the_main_thread_has_ended(server, expected):
    """A thread that outlives the main thread opens remote shards, for Python waits for that thread."""
    code = f"""
import threading
from foveal.shards import Shards
def work():
    threading.main_thread().join()
    print([sample.key for sample in Shards(["{server.url}/t.tar"] * 2)])
threading.Thread(target=work).start()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.stderr == ""
    assert ran.stdout == f"{[key for key, _ in expected] * 2}\n"
