"""foveal pack writes the images of a folder to shards without loss."""

import hashlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from foveal.shards import ShardError, Shards
from foveal.tools.packing._pictures import find_pictures
from foveal.tools.packing.class_list import CLASSES
from foveal.tools.packing.pack import pack
from tests.tools import command_line
from tests.tools.packing.folders import read, write


def test_images_in_class_folders(tmp_path):
    """Bytes are unchanged, and cls is the index of the folder's name among the sorted names."""
    folder = write(tmp_path / "in", "dog/b.jpg", "cat/a.jpg", "dog/sub/c.jpg")

    made = pack(folder, tmp_path / "out")

    assert read(made.shards) == [
        ("cat/a", {"cls": b"0", "jpg": (folder / "cat/a.jpg").read_bytes()}),
        ("dog/b", {"cls": b"1", "jpg": (folder / "dog/b.jpg").read_bytes()}),
        ("dog/sub/c", {"cls": b"1", "jpg": (folder / "dog/sub/c.jpg").read_bytes()}),
    ]
    assert (made.samples, made.labels) == (3, ["cat", "dog"])
    assert (tmp_path / "out" / CLASSES).read_text() == "cat\ndog\n"
    assert len(Shards(made.shards)) == 3


def test_files_of_an_image_come_along(tmp_path):
    """Files that begin with an image's name belong to it; others are left out and reported."""
    names = (
        "x.jpg",
        "x.json",
        "x.mask.png",
        "x.y.jpg",
        "note.txt",
        ".hidden.jpg",
        "._x.jpg",
        "z.JPG",
        "a.b.jpg",
    )
    folder = write(tmp_path / "in", *names)
    found = find_pictures(folder)

    assert {p.key: sorted(p.members) for p in found.found} == {
        "x": ["jpg", "json", "mask.png", "y.jpg"],
        "z": ["jpg"],
        "a_b": ["jpg"],
    }
    assert [str(path) for path in found.left_out] == ["note.txt"]


def test_images_named_by_their_time(tmp_path):
    """Each is a sample with its own label file; other images that became members are counted."""
    folder = write(
        tmp_path / "in", "a/0.jpg", "a/0.5.jpg", "a/0.5.json", "a/1.jpg", "a/1.mask.png", "a/1.old.jpg"
    )
    lines = io.StringIO()

    made = pack(folder, tmp_path / "out", console=Console(file=lines, soft_wrap=True))

    assert [(key, sorted(members)) for key, members in read(made.shards)] == [
        ("a/0", ["cls", "jpg"]),
        ("a/0_5", ["cls", "jpg", "json"]),
        ("a/1", ["cls", "jpg", "mask.png", "old.jpg"]),
    ]
    assert lines.getvalue() == (
        "3 images in 1 shard, 1 class\n2 further images as members of these, the first: a/1.mask.png\n"
    )


def test_samples_in_which_several_files_may_be_the_image(tmp_path):
    """They are counted, with what to say to readers, which would take the PNG; a PNG beside a JPEG is no such file."""
    folder = write(
        tmp_path / "in", "0.jpg", "0.png", "1.png", "1.tif", "2.tif", "2.bmp", "3.tif", "3.mask.png"
    )
    lines = io.StringIO()

    pack(folder, tmp_path / "out", console=Console(file=lines, soft_wrap=True))

    assert lines.getvalue().splitlines()[1:] == [
        "4 further images as members of these, the first: 0.png",
        "Several files may be the image in 2 samples, in the first png or tif: pass --image png or --image tif where the shards are read.",
    ]


@pytest.mark.parametrize(
    ("names", "labelled", "error", "message"),
    [
        ((), None, ValueError, "folder must hold images"),
        (("a.txt",), None, ValueError, "folder must hold images"),
        (("a.jpg", "c/b.jpg"), True, ValueError, "images must lie in a folder named by their class, got 'a' beside"),
        (("c/b.jpg", "c/b.cls"), None, ValueError, "the class must come from the folder or from a cls file, got both for 'c/b'"),
        (("c/b.jpg", "c/b.JPG"), None, ValueError, "names of files must differ by more than upper and lower case, got 'c/b.JPG' and 'c/b.jpg' – rename one."),
        (("0.jpg", "0.5.jpg", "0_5.jpg"), None, ValueError, "names of images must differ with '_' for '.', got '0.5.jpg' and '0_5.jpg' – rename one."),
        (("a.b.jpg", "a_b.jpg"), None, ValueError, "names of images must differ with '_' for '.', got 'a.b.jpg' and 'a_b.jpg' – rename one."),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_packed(tmp_path, names, labelled, error, message):
    """The error says what is wrong with which file, and nothing is written."""
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", *names)

    with pytest.raises(error, match=re.escape(message)):
        pack(tmp_path / "in", tmp_path / "out", labelled=labelled)
    assert not (tmp_path / "out").exists()


def test_names_with_white_space(tmp_path):
    """They are packed as they are; an index beside the shard could not hold them, which is said."""
    folder, lines = write(tmp_path / "in", "a dog/my pet.jpg", "cat/a.jpg"), io.StringIO()

    made = pack(folder, tmp_path / "out", console=Console(file=lines, soft_wrap=True))

    assert made.labels == ["a dog", "cat"]
    assert [key for key, _ in read(made.shards)] == ["a dog/my pet", "cat/a"]
    assert len(Shards(made.shards)) == 2
    assert not list((tmp_path / "out").glob("*.idx"))
    assert lines.getvalue().splitlines() == [
        "2 images in 1 shard, 2 classes",
        (
            "1 of 1 shard without an index beside it, the first: in-000000.tar. None can hold names with white space; `foveal index` "
            "writes any other. Foveal and webdataset need none, DALI's reader does."
        ),
    ]


def test_an_index_that_cannot_be_written(tmp_path, monkeypatch):
    """A shard is only left without an index because of its names; any other reason is an error, and nothing is written."""

    def full(path):
        raise ShardError(str(path), None, "its index cannot be written: No space left on device")

    monkeypatch.setattr(sys.modules[pack.__module__], "write_index", full)
    with pytest.raises(ShardError, match="No space left on device"):
        pack(write(tmp_path / "in", "a.jpg"), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_missing_folder(tmp_path):
    """A missing folder is an error."""
    with pytest.raises(FileNotFoundError, match="folder must be a folder of images, got"):
        pack(tmp_path / "nowhere", tmp_path / "out")


def test_images_beside_folders_have_no_class(tmp_path):
    """If there is an image in the folder itself, folders are not classes."""
    made = pack(write(tmp_path / "in", "a.jpg", "c/b.jpg"), tmp_path / "out")

    assert [sorted(members) for _, members in read(made.shards)] == [["jpg"], ["jpg"]]
    assert made.labels == []


def test_a_file_that_is_left_out_with_a_name_in_another_encoding(tmp_path):
    """What cannot be printed of a name is replaced by a mark."""
    folder = write(tmp_path / "in", "a.jpg", os.fsdecode(b"caf\xe9.txt"))
    command = [sys.executable, "-m", "foveal.tools", "pack", str(folder), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONUTF8": "1"}
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("the first: caf\ufffd.txt")


def test_equal_folders_give_equal_shards(tmp_path):
    """Packing twice gives the same bytes, whatever the order of files; shuffled, the same samples."""
    folder = write(tmp_path / "in", *(f"{k}.jpg" for k in range(9)))
    first, second, mixed, again = (
        pack(folder, tmp_path / name, shuffle=shuffle)
        for name, shuffle in (("a", False), ("b", False), ("c", True), ("d", True))
    )

    def digest(made):
        return [hashlib.sha256(Path(url).read_bytes()).hexdigest() for url in made.shards]

    assert digest(first) == digest(second) != digest(mixed) == digest(again)
    assert sorted(read(mixed.shards)) == sorted(read(first.shards))
    assert read(mixed.shards) != read(first.shards)


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=12), limit=st.integers(1, 120))
def test_a_shard_ends_with_the_sample_that_reaches_the_size(tmp_path_factory, sizes, limit):
    """Every shard except the last reaches the size, and would not without its last sample."""
    folder = tmp_path_factory.mktemp("in")
    for number, size in enumerate(sizes):
        (folder / f"{number:03d}.jpg").write_bytes(b"x" * size)
    made = pack(folder, folder / "out", shard_size=limit, labelled=False)
    parts = [[len(members["jpg"]) for _, members in read([url])] for url in made.shards]

    assert [size for part in parts for size in part] == sizes
    assert all(part for part in parts)


def test_on_the_command_line(tmp_path):
    """``foveal pack`` writes shards and prints what it found, and ``foveal zoom`` takes the folder itself."""
    folder = write(tmp_path / "in", "cat/a.jpg", "dog/b.jpg", "note.txt")

    def foveal(*words):
        command = [sys.executable, "-m", "foveal.tools", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    made = foveal("pack", folder, "--out", tmp_path / "out")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [
        "2 images in 1 shard, 2 classes",
        "Left out, belonging to no image: 1 file, the first: note.txt",
    ]
    assert foveal("pack", folder, "--out", tmp_path / "out").stderr.startswith("foveal: out must be a folder")


@pytest.mark.parametrize(
    ("verb", "work"),
    [
        (["zoom", "--out", "made"], "foveal.tools.offline.zoom.zoom_shards"),
        (["train", "--out", "made", "--val", "in"], "foveal.tools.training.train.train"),
        (["view"], "foveal.tools._view.view_shards"),
        (["verify"], "foveal.tools._verify.verify_shards"),
        (["doctor"], "foveal.tools.doctor.doctor.examine"),
    ],
)
def test_verbs_take_a_folder_of_images(tmp_path, monkeypatch, verb, work):
    """A folder of images given as shards is packed into the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", "cat/a.jpg", "dog/b.jpg")
    given = []
    monkeypatch.setattr(work, lambda urls, *_, **options: given.append((urls, options.get("val"))))

    done = command_line.run(verb[0], "in", *verb[1:])

    assert done.exit_code == 0, done.output
    [(urls, val)] = given
    assert [key for key, _ in read(urls)] == ["cat/a", "dog/b"]
    assert val in (None, urls)


def test_images_to_validate_on_may_have_other_formats(tmp_path, monkeypatch):
    """``foveal train`` reads the images of a validation folder, too, if they are named otherwise than those to train on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", "cat/a.png", "dog/b.png")
    write(tmp_path / "val", "cat/c.tif", "dog/d.tif")
    given = []
    monkeypatch.setattr(
        "foveal.tools.training.train.train", lambda *_, options, **__: given.append(options.image)
    )

    assert command_line.run("train", "in", "--val", "val", "--out", "made").exit_code == 0
    assert [image.split(";")[-1] for image in given] == ["tif"]


def test_originals_may_be_a_folder_of_images(tmp_path, monkeypatch):
    """``foveal verify --against`` compares with the shards that ``foveal zoom`` had made of the folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", "cat/a.jpg", "dog/b.jpg")
    given = []
    monkeypatch.setattr(
        "foveal.tools.offline.against.verify_against",
        lambda folder, originals, **_: bool(given.append((folder, originals))),
    )

    assert command_line.run("verify", "zoomed", "--against", "in").exit_code == 0
    [(folder, originals)] = given
    assert folder == "zoomed"
    assert [key for key, _ in read(originals)] == ["cat/a", "dog/b"]
