"""Folders for output, on local disks and object stores."""

import errno
import hashlib
import os
import pickle
import re
from pathlib import Path

import pytest

from foveal.shards.store import open_store, replacing
from foveal.shards.store._store import Folder, ObjectStore, StoreError
from tests.full_disk import full_at
from tests.shards.server import Forward, serving


@pytest.fixture
def server(moto, new_bucket):
    """Return an S3 server with a bucket, behind a server that fails on request."""
    new_bucket("zoomed")
    with serving(Forward(moto)) as server:
        yield server


@pytest.fixture(params=["here", "there"])
def store(request, tmp_path):
    if request.param == "here":
        return open_store(tmp_path / "a/b")
    server = request.getfixturevalue("server")
    return open_store("s3://zoomed/a/b/", {"key": "key", "secret": "secret", "endpoint_url": server.url})


def test_what_is_written_is_there(store):
    """A file has its content, replaces an older one, and can be removed."""
    assert store.names() == {}
    store.write("x.json", b"old")
    store.write("x.json", b"new and longer")
    with store.new_file("y.tar") as path:
        path.write_bytes(b"tar")

    assert store.names() == {"x.json": 14, "y.tar": 3}
    assert store.read("x.json") == b"new and longer"
    assert store.digest("y.tar") == hashlib.sha256(b"tar").hexdigest()
    with store.opened("y.tar") as file:
        assert (file.seek(1), file.read(1)) == (1, b"a")
    store.remove("x.json")
    store.remove("x.json")
    assert store.names() == {"y.tar": 3}
    assert pickle.loads(pickle.dumps(store)).read("y.tar") == b"tar"


def test_a_block_that_fails_publishes_nothing(store):
    """If the block fails, no part of the file appears."""
    store.write("x", b"old")

    def fail():
        with store.new_file("x") as path:
            path.with_name("z").write_bytes(b"half")
            raise ValueError("of mine")

    with pytest.raises(ValueError, match="of mine"):
        fail()
    assert store.read("x") == b"old"


def test_what_is_not_there(store):
    """The error names the missing file."""
    with pytest.raises(StoreError, match=r"a/b/none cannot be read: "):
        store.read("none")
    with pytest.raises(StoreError, match=r"a/b/none cannot be read: "):
        store.digest("none")


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    """A full disk is an error, and the old file stays."""
    store = Folder(str(tmp_path))
    store.write("x", b"old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StoreError, match=re.escape(f"{tmp_path}/x cannot be written: No space left on device")
    ):
        store.write("x", b"new")

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"old"}


def test_a_folder_that_cannot_be(tmp_path):
    """A folder that cannot be created is an error at once."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file/out cannot be written: Not a directory"):
        open_store(tmp_path / "file/out")


def test_a_full_disk_in_the_way_to_a_server(tmp_path, monkeypatch):
    """If a file does not fit into the folder for temporary files, the error names that folder and what to set."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = ObjectStore("s3://zoomed/c", {"anon": True})
    message = (
        f"s3://zoomed/c/x cannot be written: File too large in {str(tmp_path)!r}, where it is made before it is sent – set TMPDIR to "
        "a folder with more room"
    )
    with full_at(10), pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        store.write("x", b"content " * 9)
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_a_temporary_folder(tmp_path, monkeypatch):
    """If not even a temporary folder can be made, the error says the same."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "foveal-x"))

    monkeypatch.setattr("os.mkdir", full)
    with pytest.raises(StoreError, match=re.escape(f"No space left on device in {str(tmp_path)!r}, where")):
        ObjectStore("s3://zoomed/c", {"anon": True}).write("x", b"content")


@pytest.mark.parametrize("url", ["https://host/x", "az://container/x", "hdfs://host/x"])
def test_no_store(tmp_path, monkeypatch, url):
    """Writing to a web server, or to a store of another kind, is refused, and nothing is created."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError,
        match=re.escape(f"out must be a local folder or start with s3:// or gs://, got {url!r}."),
    ):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_be_a_url(tmp_path, monkeypatch):
    """A file: URL is the folder that it names, and a colon in a name is no scheme."""
    monkeypatch.chdir(tmp_path)
    open_store((tmp_path / "a").as_uri())
    open_store("az:b/c")

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["a", "az:b", "az:b/c"]


def test_an_empty_name_is_not_the_root():
    """An empty name, such as an unset variable of the shell, is refused."""
    with pytest.raises(ValueError, match=re.escape("out must not be empty, got ''.")):
        open_store("")


def test_leftovers(tmp_path):
    """Only temporary files of the given names are found, however long they are."""
    store, name = Folder(str(tmp_path)), "n" * 230
    for file in (
        f".{name[:200]}.0123456789ab.tmp",
        ".b.0123456789ab.tmp",
        ".a.0123456789.tmp",
        "a.0123456789ab.tmp",
    ):
        (tmp_path / file).touch()
    store.sweep([name, "a"])

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".a.0123456789.tmp",
        ".b.0123456789ab.tmp",
        "a.0123456789ab.tmp",
    ]


def test_a_server_that_fails(server, monkeypatch):
    """Repeated status 500 is an error with the name, and nothing is published; afterwards all works."""
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    options = {
        "key": "key",
        "secret": "secret",
        "endpoint_url": server.url,
        "config_kwargs": {"retries": {"total_max_attempts": 1}},
    }
    store = ObjectStore("s3://zoomed/c", options)
    store.write("x", b"old")
    server.faults += ["500"] * 9
    with pytest.raises(StoreError, match=r"s3://zoomed/c/x cannot be written: "):
        store.write("x", b"new")
    server.faults.clear()

    assert store.read("x") == b"old"
    store.write("x", b"new")
    assert store.read("x") == b"new"


def test_nothing_stays_in_the_folder_for_temporary_files(store, monkeypatch, tmp_path):
    """Uploads leave nothing in the folder for temporary files."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    store.write("x", b"content")

    assert list(Path(tmp_path / "tmp").iterdir()) == []


def test_an_error_of_what_is_read_is_not_the_files(tmp_path):
    """A connection that breaks while a file is written is no error of that file, and keeps its kind."""
    with pytest.raises(ConnectionResetError) as caught, replacing(tmp_path / "a.tar"):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    assert caught.value.filename is None
    assert list(tmp_path.iterdir()) == []
