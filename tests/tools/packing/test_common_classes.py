"""A class has one number in all folders and shards of a command."""

import re

import pytest
from rich.console import Console

from foveal.shards import Shards
from foveal.tools.packing.class_list import CLASSES, read_classes
from foveal.tools.packing.common_classes import classes_of_shards, common_classes, packed_for_training
from foveal.tools.packing.pack import pack
from foveal.tools.packing.packed import packed
from tests.tools import command_line
from tests.tools.packing.folders import write

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def sites(tmp_path):
    """Two folders that have only one class in common: alone, dogs are 1 at one site, and 0 at the other."""
    one = write(tmp_path / "one", "cat/a.jpg", "dog/b.jpg")
    return str(one), str(write(tmp_path / "two", "dog/c.jpg", "eel/d.jpg"))


def numbers(urls):
    return {sample.key: int(sample.members["cls"]) for url in urls for sample in Shards(url)}


def test_folders_are_numbered_together(sites):
    """Every class has one number, and the list is that of all folders; of one folder it is as it was."""
    assert numbers(packed(sites, console=QUIET)) == {"cat/a": 0, "dog/b": 1, "dog/c": 1, "eel/d": 2}
    assert numbers(packed(sites[1:], console=QUIET)) == {"dog/c": 0, "eel/d": 1}
    assert common_classes(sites) == ["cat", "dog", "eel"]


def test_folders_beside_shards(sites, tmp_path):
    """A folder has the numbers of the shards that are named with it, before or after it."""
    names = ["eel", "dog"]
    pack(write(tmp_path / "three", "dog/e.jpg", "eel/f.jpg"), tmp_path / "packed", labels=names)
    shards = str(tmp_path / "packed" / "*.tar")
    for urls in ([shards, sites[1]], [sites[1], shards]):
        train, _ = packed_for_training(urls, [], console=QUIET)
        assert numbers(train) == {"dog/c": 1, "eel/d": 0, "dog/e": 1, "eel/f": 0}
    with pytest.raises(ValueError, match=re.escape("got 'cat', which is none of ['eel', 'dog'].")):
        packed_for_training([shards, sites[0]], [], console=QUIET)


def test_validation_has_the_numbers_of_training(sites, tmp_path):
    """Folders and shards to validate on follow those to train on; shards of another numbering are refused."""
    write(tmp_path / "val", "eel/g.jpg")
    _, val = packed_for_training(sites, [str(tmp_path / "val")], console=QUIET)
    assert numbers(val) == {"eel/g": 2}

    pack(tmp_path / "val", tmp_path / "packed")
    message = (
        "shards must number their classes alike, got ['cat', 'dog', 'eel'] in the training images and ['eel'] in "
        f"{tmp_path / 'packed' / CLASSES} – pack the images again, together or with --classes-from, or remove {CLASSES} if the numbers mean the same."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        packed_for_training(sites, [str(tmp_path / "packed" / "*.tar")], console=QUIET)


def test_shards_that_are_numbered_otherwise(sites, tmp_path):
    """Training and zooming are refused before anything is written; looking at such shards is not."""
    for number, site in enumerate(sites):
        assert command_line.run("pack", site, "--out", tmp_path / f"packed-{number}").exit_code == 0
    both = [str(tmp_path / f"packed-{number}" / "*.tar") for number in range(2)]
    trained = command_line.run("train", *both, "--out", tmp_path / "run")
    zoomed = command_line.run("zoom", *both, "--out", tmp_path / "zoomed", "--out-size", 16)
    for failed in (trained, zoomed):
        assert str(failed.exception).startswith(
            f"shards must number their classes alike, got ['cat', 'dog'] in {tmp_path / 'packed-0' / CLASSES} and ['dog', 'eel'] in "
        )
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "zoomed").exists()
    assert command_line.run("verify", *both).exit_code == 0


def test_long_lists_are_shortened(tmp_path):
    """An error shows the first classes of a long list, and how many there are."""
    made = pack(write(tmp_path / "in", *(f"c{k}/a.jpg" for k in range(6))), tmp_path / "out")
    with pytest.raises(ValueError, match=re.escape("['c0', 'c1', 'c2', 'c3']... (6) in ")):
        common_classes(made.shards, known=["cat"])


def test_what_is_not_known_is_not_compared(tmp_path):
    """Shards without a list, with an empty one, and remote ones are taken as they are."""
    made = pack(write(tmp_path / "in", "cat/a.jpg"), tmp_path / "out")
    flat = pack(write(tmp_path / "flat", "b.jpg"), tmp_path / "none")
    far = "s3://bucket/{000..999}.tar"

    assert common_classes([far, *made.shards, *flat.shards]) == ["cat"]
    assert common_classes([far, *flat.shards]) is None
    assert common_classes([f"{made.shards[0]}::{far}"]) is None
    assert classes_of_shards(made.shards) == ["cat"]
    assert classes_of_shards([*made.shards, *flat.shards]) is None
    assert classes_of_shards([*made.shards, far]) is None


def test_zoomed_shards_keep_the_list(sites, tmp_path):
    """`foveal zoom` writes it beside what it zooms, so that validation images can be numbered by it; pack leaves such shards alone."""
    zoomed, options = tmp_path / "zoomed", ["--out-size", 16, "--saliency", "spectral"]
    made = command_line.run("zoom", *sites, "--out", zoomed, *options)
    assert made.exit_code == 0, made.exception
    assert read_classes(zoomed) == ["cat", "dog", "eel"]
    assert numbers(str(path) for path in sorted(zoomed.glob("*.tar"))) == {
        "cat/a": 0,
        "dog/b": 1,
        "dog/c": 1,
        "eel/d": 2,
    }
    again = command_line.run("pack", sites[0], "--out", zoomed, "--overwrite")
    assert str(again.exception) == (
        f"out must be another folder than that of zoomed shards, got {str(zoomed)!r} with manifest.json – name another folder."
    )


def test_zooming_into_a_folder_of_other_classes(sites, tmp_path):
    """The list would not be true of the shards that are there."""
    zoomed, options = tmp_path / "zoomed", ["--out-size", 16, "--saliency", "spectral"]
    assert command_line.run("zoom", sites[0], "--out", zoomed, *options).exit_code == 0
    failed = command_line.run("zoom", sites[1], "--out", zoomed, *options)
    assert str(failed.exception) == (
        f"out must be a folder whose shards number their classes alike, got {str(zoomed)!r} with 'one-000000.tar' and the classes ['cat', "
        f"'dog'], for shards of the classes ['dog', 'eel'] – name another folder, or write {CLASSES} there if the numbers mean the same."
    )
    assert read_classes(zoomed) == ["cat", "dog"]
    (zoomed / CLASSES).unlink()
    failed = command_line.run("zoom", sites[1], "--out", zoomed, *options)
    assert "with 'one-000000.tar' and no list of classes, for" in str(failed.exception)


def test_zooming_over_a_list_of_somebody(sites, tmp_path):
    """A list in a folder that foveal zoom has not written to is replaced with --overwrite only."""
    zoomed, options = write(tmp_path / "zoomed", CLASSES), ["--out-size", 16, "--saliency", "spectral"]
    failed = command_line.run("zoom", sites[0], "--out", zoomed, *options)
    assert str(failed.exception) == (
        f"out must be a folder without {CLASSES}, got {str(zoomed)!r}, which has one of other classes – name another folder, or pass "
        "--overwrite to replace it."
    )
    assert [path.name for path in zoomed.iterdir()] == [CLASSES]
    assert command_line.run("zoom", sites[0], "--out", zoomed, *options, "--overwrite").exit_code == 0
    assert read_classes(zoomed) == ["cat", "dog"]


def test_a_list_that_was_edited_under_windows(tmp_path):
    """Its lines end with a carriage return, too, and it begins with a mark; neither belongs to a name."""
    (tmp_path / CLASSES).write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n")
    assert read_classes(tmp_path) == ["cat", "dog"]
