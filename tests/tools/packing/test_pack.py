"""foveal pack writes the images of a folder to shards without loss."""

import errno
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from foveal.shards import ShardError, Shards
from foveal.tools.packing._classes import CLASSES, read_classes
from foveal.tools.packing._pictures import find_pictures
from foveal.tools.packing.pack import pack
from foveal.tools.packing.packed import packed
from tests.pipeline.making import encode, picture
from tests.shards.reading import by_webdataset
from tests.tools import command_line


def write(folder, *names):
    """Write files of distinct content; those that end in jpg are images."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            encode(picture(number, 24, 32)) if name.lower().endswith("jpg") else os.fsencode(name)
        )
    return folder


def read(urls):
    """Return every sample as webdataset groups it: (key, members)."""
    return [(key, dict(members)) for url in urls for key, members in by_webdataset(Path(url))]


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
    assert packed([str(folder)], console=Console(quiet=True), like=made.shards)


def test_a_list_of_classes_that_is_not_in_utf_8(tmp_path):
    """A list that is in another encoding is named; it could be read as other names."""
    path = tmp_path / CLASSES
    path.write_bytes(b"caf\xe9\n")
    message = f"classes.txt must be in UTF-8, as foveal pack writes it, got {str(path)!r}, which is not – pack its folder again."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_classes(tmp_path)


def test_a_file_that_is_left_out_with_a_name_in_another_encoding(tmp_path):
    """What cannot be printed of a name is replaced by a mark."""
    folder = write(tmp_path / "in", "a.jpg", os.fsdecode(b"caf\xe9.txt"))
    command = [sys.executable, "-m", "foveal.tools", "pack", str(folder), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONUTF8": "1"}
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("the first: caf\ufffd.txt")


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
    assert read(packed([str(val)], console=quiet, like=first))[0][1]["cls"] == b"1"

    write(train, "cat/new.jpg")
    assert packed([str(train)], console=quiet) != first[:-1]


def test_a_class_that_training_does_not_have(tmp_path, monkeypatch):
    """A class that only validation has is an error that names it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    quiet = Console(quiet=True)
    shards = packed([str(write(tmp_path / "train", "cat/a.jpg"))], console=quiet)

    with pytest.raises(ValueError, match=re.escape("got 'cow', which is none of ['cat'].")):
        packed([str(write(tmp_path / "val", "cow/a.jpg"))], console=quiet, like=shards)


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
        "1 files belong to no image and were left out, the first: note.txt",
    ]
    assert foveal("pack", folder, "--out", tmp_path / "out").stderr.startswith("foveal: out must be a folder")


@pytest.mark.parametrize(
    ("verb", "work"),
    [
        (["zoom", "--out", "made"], "foveal.tools.offline.zoom.zoom_shards"),
        (["train", "--out", "made", "--val", "in"], "foveal.tools.training.train.train"),
        (["view"], "foveal.tools._view.view_shards"),
        (["verify"], "foveal.tools._verify.verify_shards"),
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
    both = command_line.run("pack", tmp_path / "val", "--out", tmp_path / "none", "--no-classes", *like)
    assert both.exit_code == 2
    assert not (tmp_path / "none").exists()


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


def files_in(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


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
