"""Packing over what is there, and after a run that ended early."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from foveal.shards import ShardError, write_index
from foveal.tools.packing.class_list import CLASSES
from foveal.tools.packing.pack import pack
from foveal.tools.packing.packed import packed
from tests.full_disk import full_at
from tests.tools.packing.folders import files_in, read, write


def test_shards_that_are_there_stay(tmp_path):
    """Packing over shards is refused; with overwrite all old ones are removed."""
    folder, out = write(tmp_path / "in", *(f"{k}.jpg" for k in range(5))), tmp_path / "out"
    many = pack(folder, out, shard_size=1)
    assert len(many.shards) == 5

    with pytest.raises(FileExistsError, match=re.escape("pass --overwrite to replace them.")):
        pack(folder, out)

    assert pack(folder, out, overwrite=True).shards == [str(p) for p in sorted(out.glob("*.tar"))]
    assert len(list(out.glob("*.tar"))) == len(list(out.glob("*.idx"))) == 1


@pytest.mark.parametrize(("names", "classes"), [(["precious.tar"], True), (["train-000000.tar"], False)])
def test_shards_of_others_are_never_replaced(tmp_path, names, classes):
    """A tar that foveal pack did not write stays: by its name, or because the folder has no list of classes."""
    folder, out = write(tmp_path / "in", "a.jpg"), write(tmp_path / "out", *names)
    if classes:
        (out / CLASSES).touch()
    before = files_in(out)

    with pytest.raises(FileExistsError, match=re.escape(f"with {names[0]!r} – name another folder.")):
        pack(folder, out, overwrite=True)
    assert files_in(out) == before


def test_a_folder_in_the_place_of_shards_is_packed_once(tmp_path, monkeypatch):
    """A folder is packed again only if a file changed; validation images get the classes of training."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    train = write(tmp_path / "train", "cat/a.jpg", "dog/b.jpg", "emu/c.jpg")
    val = write(tmp_path / "val", "dog/x.jpg")
    quiet = Console(quiet=True)

    first = packed([str(train), "other.tar"], console=quiet)
    stamps = [Path(url).stat().st_mtime_ns for url in first[:-1]]
    assert packed([str(train), "other.tar"], console=quiet) == first
    assert [Path(url).stat().st_mtime_ns for url in first[:-1]] == stamps
    assert first[-1] == "other.tar"
    assert read(packed([str(val)], console=quiet, classes=["cat", "dog", "emu"]))[0][1]["cls"] == b"1"

    write(train, "cat/new.jpg")
    assert packed([str(train)], console=quiet) != first[:-1]


@pytest.mark.parametrize("overwrite", [False, True])
def test_interrupted_it_leaves_the_folder_as_it_was(tmp_path, overwrite):
    """Shards appear together: if packing ends early, there are none, or those that were there before."""
    folder, out = write(tmp_path / "in", *(f"{k}.jpg" for k in range(5))), tmp_path / "out"
    if overwrite:
        pack(write(tmp_path / "before", "x.jpg"), out)
    out.mkdir(exist_ok=True)
    before = files_in(out)

    def interrupted(write_one, shared, parts):
        write_one(shared, parts[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(folder, out, shard_size=1, overwrite=overwrite, distribute=interrupted)
    assert files_in(out) == before

    assert len(pack(folder, out, shard_size=1, overwrite=overwrite).shards) == 5


@pytest.mark.parametrize("room", [5_000, 12_000])
def test_a_disk_that_is_full_at_a_shard(tmp_path, room):
    """The error names the shard where it was to appear, not in the hidden folder, which is gone."""
    folder, out = write(tmp_path / "in", "a.jpg"), tmp_path / "out"
    (folder / "a.jpg").write_bytes(bytes(room))
    shard = out / "in-000000.tar"
    with full_at(room), pytest.raises(OSError, match=re.escape(f"File too large: {str(shard)!r}")):
        pack(folder, out)
    assert list(out.iterdir()) == []


def test_a_disk_that_is_full_at_an_index(tmp_path, monkeypatch):
    """The error names the index where it was to appear."""
    folder, out = write(tmp_path / "in", "a.jpg"), tmp_path / "out"

    def full(path):
        with full_at(10):
            return write_index(path)

    monkeypatch.setattr(sys.modules[pack.__module__], "write_index", full)
    message = f"{out}/in-000000.tar: its index '{out}/in-000000.idx' cannot be written: File too large"
    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        pack(folder, out)


def test_a_disk_that_is_full_at_the_list_of_classes(tmp_path, monkeypatch):
    """The list is complete before the first old shard is removed."""
    folder, out = write(tmp_path / "in", "cat/a.jpg", "dog/b.jpg"), tmp_path / "out"
    pack(write(tmp_path / "before", "cow/x.jpg"), out)
    before = files_in(out)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("foveal.tools.packing.pack.write_classes", full)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        pack(folder, out, overwrite=True)
    assert files_in(out) == before


def test_shards_whose_replacing_failed_can_be_replaced(tmp_path, monkeypatch):
    """If old shards are gone and new ones are not all there, the folder can be packed again, also after another failure."""
    folder, out = write(tmp_path / "in", "cat/a.jpg", "dog/b.jpg"), tmp_path / "out"
    pack(write(tmp_path / "before", "cow/x.jpg"), out)

    def refused(path, target):
        if path.name == CLASSES:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        path.rename(target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refused)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            pack(folder, out, overwrite=True)
    assert not (out / CLASSES).exists()

    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(folder, out, overwrite=True, distribute=interrupted)
    assert read(pack(folder, out, overwrite=True).shards) == read(pack(folder, tmp_path / "other").shards)
    assert sorted(files_in(out)) == [CLASSES, "in-000000.idx", "in-000000.tar"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Unfinished shards of a process that was killed do not count as shards, and the next run removes them."""
    folder, out = write(tmp_path / "in", "0.jpg"), tmp_path / "out"
    kill = (
        "import os, sys\nfrom pathlib import Path\nfrom foveal.tools.packing.pack import pack\n"
        "def killed(write_one, shared, parts):\n    write_one(shared, parts[0])\n    os.kill(os.getpid(), 9)\n"
        "pack(Path(sys.argv[1]), Path(sys.argv[2]), distribute=killed)"
    )
    subprocess.run([sys.executable, "-c", kill, str(folder), str(out)], check=False)
    assert list(out.glob("*.tar")) == []
    assert len(list(out.rglob("*.tar"))) == 1

    made = pack(folder, out)
    assert [str(path) for path in out.rglob("*.tar")] == made.shards
