"""The list of classes that foveal pack writes beside the shards."""

import os
import re
import shutil

import pytest
from rich.console import Console

from foveal.tools.packing.class_list import CLASSES, read_classes
from foveal.tools.packing.common_classes import common_classes, packed_for_training
from foveal.tools.packing.pack import pack
from foveal.tools.packing.packed import packed
from tests.tools import command_line
from tests.tools.packing.folders import files_in, read, write


def test_a_list_of_classes_that_is_there_stays(tmp_path):
    """A classes.txt in a folder without shards may be anybody's: it is replaced with overwrite only."""
    folder, out = write(tmp_path / "in", "cat/a.jpg"), write(tmp_path / "out", "notes.md")
    (out / "classes.txt").write_text("my own list")
    message = (
        f"out must be a folder without classes.txt, got {str(out)!r}, which has one but no shards – name another folder, or pass "
        "--overwrite to replace it."
    )
    with pytest.raises(FileExistsError, match=f"^{re.escape(message)}$"):
        pack(folder, out)

    assert (out / "classes.txt").read_text() == "my own list"
    assert not list(out.glob("*.tar"))
    pack(folder, out, overwrite=True)
    assert (out / "classes.txt").read_text() == "cat\n"


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"two\rlines"])
def test_a_class_that_cannot_be_listed(tmp_path, monkeypatch, name):
    """A folder of a class whose name the list could not hold is named before anything is removed; without classes it is packed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, out = write(tmp_path / "in", "cat/a.jpg"), tmp_path / "out"
    pack(folder, out)
    before = files_in(out)
    shutil.copytree(folder / "cat", folder / os.fsdecode(name))
    message = f"folders of classes must have names in UTF-8 and of one line, got {os.fsdecode(name)!r} – rename the folder."

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pack(folder, out, overwrite=True)
    assert files_in(out) == before
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        packed([str(folder)], console=Console(quiet=True))
    assert pack(folder, out, labelled=False, overwrite=True).samples == 2


def test_a_name_with_what_unicode_calls_the_end_of_a_line(tmp_path, monkeypatch):
    """The list has as many classes as were found, and both of its readers read it back."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = ["cat", "do\u2028g", "\xe9mu\x85"]
    folder = write(tmp_path / "in", *(f"{name}/a.jpg" for name in names))
    made = pack(folder, tmp_path / "out")

    assert made.labels == read_classes(tmp_path / "out") == names
    assert common_classes(made.shards) == names
    assert common_classes(made.shards, known=names) == names


def test_a_list_of_classes_that_is_not_in_utf_8(tmp_path):
    """A list that is in another encoding is named; it could be read as other names."""
    path = tmp_path / CLASSES
    path.write_bytes(b"caf\xe9\n")
    message = f"classes.txt must be in UTF-8, as foveal pack writes it, got {str(path)!r}, which is not – pack its folder again."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_classes(tmp_path)


def test_a_class_that_training_does_not_have(tmp_path, monkeypatch):
    """A class that only validation has is an error that names it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    quiet = Console(quiet=True)
    train, val = write(tmp_path / "train", "cat/a.jpg"), write(tmp_path / "val", "cow/a.jpg")

    with pytest.raises(ValueError, match=re.escape("got 'cow', which is none of ['cat'].")):
        packed_for_training([str(train)], [str(val)], console=quiet)


def test_classes_are_numbered_as_in_another_folder(tmp_path):
    """A class that validation images lack does not shift the others; what cannot be numbered is an error."""
    write(tmp_path / "train", "ant/a.jpg", "bee/b.jpg", "cat/c.jpg")
    write(tmp_path / "val", "bee/d.jpg", "cat/e.jpg")
    write(tmp_path / "flat", "f.jpg")
    made = command_line.run("pack", tmp_path / "train", "--out", tmp_path / "in", "--shuffle")
    like = ["--classes-from", tmp_path / "in"]
    val = command_line.run("pack", tmp_path / "val", "--out", tmp_path / "out", *like)
    assert (made.exit_code, val.exit_code) == (0, 0), (made.exception, val.exception)

    found = {key: members["cls"] for key, members in read(sorted((tmp_path / "out").glob("*.tar")))}
    assert found == {"bee/d": b"1", "cat/e": b"2"}
    assert (tmp_path / "out" / CLASSES).read_text() == "ant\nbee\ncat\n"
    flat = command_line.run("pack", tmp_path / "flat", "--out", tmp_path / "none", *like)
    assert str(flat.exception).startswith("images must lie in a folder named by their class, got 'f'")
    without = command_line.run(
        "pack", tmp_path / "val", "--out", tmp_path / "none", "--classes-from", tmp_path
    )
    assert str(without.exception) == (
        f"classes_from must be a folder that foveal pack wrote with classes, got {str(tmp_path)!r} without names in classes.txt."
    )
    assert not (tmp_path / "none").exists()
