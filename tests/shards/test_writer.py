import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.shards import ShardWriter
from tests.shards.reading import by_foveal, by_webdataset

names = st.text(st.characters(codec="utf-8", exclude_characters="./\0\n"), min_size=1, max_size=40)
keys = st.lists(names, min_size=1, max_size=3).map("/".join)
exts = st.lists(names, min_size=1, max_size=2).map(".".join)
exts = exts.filter(lambda ext: not ext.strip("_") or not (ext.startswith("__") and ext.endswith("__")))
members = st.dictionaries(exts, st.binary(max_size=600), min_size=1, max_size=4)


def write(path, *written):
    with ShardWriter(path) as writer:
        for sample in written:
            writer.write(sample)
    return path


@given(st.lists(st.tuples(keys, members), max_size=4))
def test_is_read_by_webdataset_and_by_us(tmp_path_factory, written):
    """webdataset and Foveal read what the writer wrote, with any names."""
    path = tmp_path_factory.getbasetemp() / "written.tar"
    expected = []
    with ShardWriter(path) as writer:
        for key, content in written:
            with contextlib.suppress(ValueError):  # names that do not survive are refused, and leave no trace
                writer.write({"__key__": key, **content})
                expected.append((key, sorted((ext.lower(), content[ext]) for ext in content)))

    assert by_webdataset(path) == by_foveal(path) == expected


def test_extensions_are_in_lower_case(tmp_path):
    """An extension is written as it is read back, so that readers which tell case apart find the member, too."""
    path = write(tmp_path / "a.tar", {"__key__": "A", "Left.JPG": b"l", "Z": b"z", "cls": 1})
    with tarfile.open(path) as tar:
        names = tar.getnames()

    assert names == ["A.cls", "A.left.jpg", "A.z"]
    assert by_webdataset(path) == by_foveal(path) == [("A", [("cls", b"1"), ("left.jpg", b"l"), ("z", b"z")])]


@pytest.mark.parametrize("ext", ["_", "__", "___", "____", "__x", "x__"])
def test_underscores_alone_are_an_extension(tmp_path, ext):
    """Only names such as __url__ are left out; an extension of underscores is a member."""
    path = write(tmp_path / "a.tar", {"__key__": "a", "__url__": "u", "txt": b"t", ext: b"u"})

    assert by_webdataset(path) == by_foveal(path) == [("a", sorted([("txt", b"t"), (ext, b"u")]))]


def test_members_of_files_are_written_whatever_their_names(tmp_path):
    """What was read from a shard or a folder is written as it was, also a member named as webdataset names its own."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write_members("a", {"__meta__": b"m", "cls": 1, "TXT": b"t"})
    expected = [("a", [("__meta__", b"m"), ("cls", b"1"), ("txt", b"t")])]

    assert by_webdataset(tmp_path / "a.tar") == by_foveal(tmp_path / "a.tar") == expected


def test_values_follow_webdatasets_conventions(tmp_path):
    """Bytes are written unchanged, text as UTF-8, numbers in decimal, JSON with sorted keys; other dunder names are left out."""
    sample = {
        "__key__": "d/a",
        "__url__": "elsewhere.tar",
        "jpg": b"\xff\xd8",
        "txt": "é",
        "cls": np.int64(-7),
        "left.cls": 3,
        "json": {"b": [1, 2], "a": None},
        "npy": memoryview(b"12"),
    }

    assert by_webdataset(write(tmp_path / "t.tar", sample)) == [
        (
            "d/a",
            [
                ("cls", b"-7"),
                ("jpg", b"\xff\xd8"),
                ("json", b'{"a": null, "b": [1, 2]}'),
                ("left.cls", b"3"),
                ("npy", b"12"),
                ("txt", "é".encode()),
            ],
        )
    ]


def test_is_deterministic(tmp_path):
    """The same samples give the same bytes, whatever the order of members."""
    first = write(tmp_path / "1.tar", {"__key__": "é" * 80, "jpg": b"1", "cls": 2})
    second = write(tmp_path / "2.tar", {"cls": 2, "jpg": b"1", "__key__": "é" * 80})

    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}


def test_an_exception_leaves_the_old_file(tmp_path):
    """If the block fails, nothing new is left, and an old file stays."""
    path = write(tmp_path / "t.tar", {"__key__": "a", "txt": "old"})
    before = path.read_bytes()

    with pytest.raises(RuntimeError, match="stop"), ShardWriter(path) as writer:  # noqa: PT012 - two steps matter
        writer.write({"__key__": "b", "txt": "new"})
        raise RuntimeError("stop")

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_process_leaves_no_file(tmp_path):
    """The file appears only when it is complete."""
    path = tmp_path / "t.tar"
    script = (
        "import os, signal, sys\n"
        "from foveal.shards import ShardWriter\n"
        "with ShardWriter(sys.argv[1]) as writer:\n"
        "    writer.write({'__key__': 'a', 'bin': bytes(1 << 20)})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script, path], check=False, env={**os.environ, "PYTHONPATH": "src"}
    )

    assert ended.returncode == -signal.SIGKILL
    assert not path.exists()


def test_the_file_may_be_read_by_others(tmp_path):
    """The file has the permissions of any new file."""
    path = write(tmp_path / "t.tar", {"__key__": "a", "txt": ""})
    (tmp_path / "other").touch()

    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (
            {"jpg": b""},
            "__key__ must be a path that webdataset reads back, its last part not empty and without a dot, got None",
        ),
        (
            {"__key__": "", "jpg": b""},
            "__key__ must be a path that webdataset reads back, its last part not empty and without a dot, got ''",
        ),
        (
            {"__key__": "a.b", "jpg": b""},
            "__key__ must be a path that webdataset reads back, its last part not empty and without a dot, got 'a.b'",
        ),
        (
            {"__key__": "a/", "jpg": b""},
            "__key__ must be a path that webdataset reads back, its last part not empty and without a dot, got 'a/'",
        ),
        (
            {"__key__": "__m__/a", "jpg": b""},
            "__key__ must be a path that webdataset reads back, its last part not empty and without a dot, got '__m",
        ),
        (
            {"__key__": "\ud800", "jpg": b""},
            "__key__ must be a path that webdataset reads back, its last part not empty and without a dot, got '\\u",
        ),
        (
            {"__key__": "old", "jpg": b""},
            "__key__ must differ from the sample before, got 'old'; readers would join",
        ),
        (
            {"__key__": "a", "__url__": ""},
            "sample must have at least one member, got only 'a' for its __key__",
        ),
        (
            {"__key__": "a", "jpg": b"", "JPG": b""},
            "members must be named by extensions without a slash, different when in lower case, got 'jpg'",
        ),
        (
            {"__key__": "a", "b/c": b""},
            "members must be named by extensions without a slash, different when in lower case, got 'b/c'",
        ),
        (
            {"__key__": "a", "": b""},
            "members must be named by extensions without a slash, different when in lower case, got ''",
        ),
    ],
)
def test_refuses_names_that_would_be_read_as_others(tmp_path, sample, message):
    """A sample that would be read under another name is refused, and writing can continue."""
    path = tmp_path / "t.tar"
    with ShardWriter(path) as writer:
        writer.write({"__key__": "old", "txt": "1"})
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            writer.write(sample)
        writer.write({"__key__": "new", "txt": "2"})

    assert by_webdataset(path) == [("old", [("txt", b"1")]), ("new", [("txt", b"2")])]


@pytest.mark.parametrize(
    ("ext", "value", "got"),
    [
        ("jpg", io.BytesIO(), "BytesIO"),
        ("cls", True, "bool"),
        ("cls", 1.0, "float"),
        ("txt", 3, "int"),
        ("npy", {}, "dict"),
    ],
)
def test_refuses_what_has_no_bytes(tmp_path, ext, value, got):
    """A value of unknown encoding is refused by member and type, and no part of the sample is written."""
    message = (
        f"member {ext!r} must be bytes or text, a whole number for cls, a dict or list for json, got {got}"
    )
    path = tmp_path / "t.tar"
    with ShardWriter(path) as writer, pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        writer.write({"__key__": "a", "a": b"1", ext: value})

    assert by_webdataset(path) == []


def test_must_be_open(tmp_path):
    """Outside of its block a writer refuses to write."""
    message = "a ShardWriter must be open to write, got a closed one; use it in a with statement"
    with pytest.raises(ValueError, match=message):
        ShardWriter(tmp_path / "t.tar").write({"__key__": "a", "txt": ""})


def test_the_folder_must_exist(tmp_path):
    """A missing folder is reported before anything is written."""
    path = str(tmp_path / "no" / "t.tar")

    with pytest.raises(
        FileNotFoundError, match=re.escape(f"path must be in a folder that exists, got {path!r}")
    ):
        ShardWriter(path)
