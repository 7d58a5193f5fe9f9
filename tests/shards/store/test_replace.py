"""Files that are written whole or not at all, and errors that name them."""

import errno
import os
import re
import threading
from pathlib import Path
from pkgutil import resolve_name as resolve

import pytest

from foveal.shards.store import errors_name, is_full, replacing, write_whole
from tests.full_disk import full_at


def test_a_file_that_does_not_fit(tmp_path):
    """The old file is kept, nothing else is left, and the error names the file."""
    path = tmp_path / "a.json"
    write_whole(path, b"old")
    with full_at(1000), pytest.raises(OSError, match=re.escape(f"File too large: {str(path)!r}")) as caught:
        write_whole(path, b"n" * 2000)

    assert is_full(caught.value)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a.json": b"old"}


def test_a_file_whose_disk_fails(tmp_path, monkeypatch):
    """Any error of the system names the file as it was spelled, not the hidden one."""
    monkeypatch.chdir(tmp_path)

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match=re.escape("Input/output error: 'a.json'")):
        write_whole(tmp_path.joinpath("a.json").relative_to(tmp_path), b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    """The error names the file, not the hidden one: where nothing can be written, nothing can be removed either."""

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    for name in ("open", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    message = f"[Errno {errno.EROFS}] Read-only file system: {str(tmp_path / 'a.json')!r}"
    with pytest.raises(OSError, match=f"^{re.escape(message)}$"):
        write_whole(tmp_path / "a.json", b"new")


def test_a_link_stays(tmp_path):
    """The file that a link points to is replaced, also one that is not there yet."""
    (tmp_path / "link").symlink_to("file")
    for content in (b"one", b"two"):
        write_whole(tmp_path / "link", content)

        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "file").read_bytes() == content


def test_a_pipe_is_written_to(tmp_path):
    """A pipe, such as /dev/stdout may be, gets the content, and stays one."""
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()), daemon=True)
    got = []
    reader.start()
    write_whole(tmp_path / "pipe", b"content")
    reader.join(30)

    assert got == [b"content"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_is_no_file(tmp_path):
    """A folder in the place of the file is named."""
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        write_whole(tmp_path, b"content")


def test_errors_of_writing_get_a_name(tmp_path):
    """An error that has no file gets one, and keeps its kind."""
    with pytest.raises(BrokenPipeError) as caught, errors_name(tmp_path / "a"):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    assert caught.value.filename == str(tmp_path / "a")


def test_a_full_disk_elsewhere(tmp_path):
    """If another file than the one that is being written does not fit, the error keeps its name."""
    with (
        pytest.raises(OSError, match=re.escape("No space left on device: 'other'")),
        replacing(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "other")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a file that is interrupted before its block closes itself
@pytest.mark.parametrize(
    "name", ["pathlib.Path.open", "fcntl.flock", "os.dup", "os.fsync", "pathlib.Path.replace"]
)
@pytest.mark.parametrize("happens", ["before", "after"])
def test_ctrl_c_at_any_moment(tmp_path, monkeypatch, name, happens):
    """Ctrl-C just before or after each call to the system leaves no unfinished file, and an old or a new one."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    target = resolve(name)

    def interrupted(*arguments, **options):
        if happens == "after":
            target(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(name, interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(path, sync=True) as file:
        file.write(b"new")
    monkeypatch.undo()

    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {
        "a": b"new" if (name, happens) == ("pathlib.Path.replace", "after") else b"old"
    }
