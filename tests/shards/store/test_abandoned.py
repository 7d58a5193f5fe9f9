"""Unfinished files of killed processes, beside those of living ones."""

import errno
import fcntl
import multiprocessing
import os
import signal
import time

import pytest

from foveal.shards import ShardWriter
from foveal.shards.index import Cache
from foveal.shards.store import replacing
from foveal.shards.store._abandoned import (
    _here,
    _remove_abandoned_folders,
    remove_abandoned,
    temporary_folder,
)

_FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _another_process():
    """Let the test look at its folders as a new process does."""
    remove_abandoned.cache_clear()


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def _write_for_ever(path, begun):
    with replacing(path) as file:
        file.write(b"half")
        file.flush()
        begun.set()
        time.sleep(600)


@pytest.fixture
def writer(tmp_path):
    """Return a process that is writing ``a.tar``."""
    begun = _FORK.Event()
    child = _FORK.Process(target=_write_for_ever, args=(tmp_path / "a.tar", begun))
    child.start()
    assert begun.wait(30)
    yield child
    child.kill()
    child.join()


def write_shard(folder):
    with ShardWriter(folder / "b.tar") as shard:
        shard.write({"__key__": "0", "cls": 1})


def keep_index(folder):
    assert Cache(folder).store(folder / "b.idx", b"index")


@pytest.mark.parametrize("write", [write_shard, keep_index])
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_killed_process_left_is_removed(tmp_path, writer, write, kind):
    """The next process that writes to the folder removes what a killed process had begun there."""
    os.kill(writer.pid, kind)
    writer.join()
    assert len(hidden(tmp_path)) == 1

    write(tmp_path)
    assert hidden(tmp_path) == []


def test_what_a_living_process_writes_stays(tmp_path, writer):
    """A file that a process or a thread is writing is left alone, however old it is."""
    (being_written,) = hidden(tmp_path)
    os.utime(tmp_path / being_written, (0, 0))
    with replacing(tmp_path / "a.tar") as file:
        remove_abandoned.cache_clear()
        write_shard(tmp_path)
        file.write(b"whole")
        assert len(hidden(tmp_path)) == 2

    assert writer.is_alive()
    assert hidden(tmp_path) == [being_written]
    assert (tmp_path / "a.tar").read_bytes() == b"whole"


def test_what_another_computer_writes_stays(tmp_path):
    """A file that was begun elsewhere is removed if it has not changed for a week: its lock may not be seen here."""
    names = [
        ".a.tar.0123456789ab.tmp",
        ".a.tar.0123456789ac.tmp",
        f".b.tar.{_here()}000000.tmp",
        ".c.tar.tmp",
    ]
    for name, days in zip(names, (6, 8, 0, 8), strict=True):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - days * 86400,) * 2)

    write_shard(tmp_path)
    assert hidden(tmp_path) == [names[0], names[3]]


def _hold_a_folder(begun):
    with temporary_folder() as folder:
        (folder / "a.tar").write_bytes(b"half")
        begun.set()
        time.sleep(600)


def test_a_folder_of_a_killed_process_is_removed(tmp_path, monkeypatch):
    """The next process that needs a folder for temporary files removes that of a killed one, and not that of a living one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "foveal-other").mkdir()
    begun = _FORK.Event()
    child = _FORK.Process(target=_hold_a_folder, args=(begun,))
    child.start()
    try:
        assert begun.wait(30)
        _remove_abandoned_folders.cache_clear()
        with temporary_folder():
            assert len(list(tmp_path.iterdir())) == 3
    finally:
        child.kill()
        child.join()
    assert len(list(tmp_path.iterdir())) == 2
    _remove_abandoned_folders.cache_clear()
    with temporary_folder() as folder:
        assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "foveal-other", folder])
    assert list(tmp_path.iterdir()) == [tmp_path / "foveal-other"]


def test_where_files_cannot_be_locked_nothing_is_removed(tmp_path, monkeypatch):
    """On a file system without locks files are written, and unfinished ones stay."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / f".b.tar.{_here()}000000.tmp").touch()
    write_shard(tmp_path)

    assert hidden(tmp_path) == [f".b.tar.{_here()}000000.tmp"]
    assert (tmp_path / "b.tar").exists()


def test_a_new_folder_that_is_taken_for_an_abandoned_one(tmp_path, monkeypatch):
    """If another process removes the folder before it is locked, another is made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lock, removed = fcntl.flock, []

    def remove_first(descriptor, operation):
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].rmdir()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with temporary_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder] != removed


def test_a_new_file_that_is_taken_for_an_abandoned_one(tmp_path, monkeypatch):
    """If another process removes the file before it is locked, another is begun."""
    lock, removed = fcntl.flock, []

    def remove_first(file, operation):
        if not removed:
            removed.extend(tmp_path.glob(".*"))
            removed[0].unlink()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    write_shard(tmp_path)

    assert removed
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]
