"""Shards that are cut, damaged or missing, or have members that mislead."""

import errno
import gzip
import os
import pickle
import re
import socket

import pytest

from foveal.shards import SampleError, ShardError, Shards, ShardWarning, write_index
from tests.shards.reading import (
    HardLink,
    by_foveal,
    make_tar,
    samples,
    tar_bytes,
)


def test_a_cut_shard_is_told_of_every_time(tmp_path):
    """Each time, a warning names the shard, the offset and the last complete sample; the samples before the cut are read."""
    tar = tmp_path / "t.tar"
    tar.write_bytes(tar_bytes(samples("abc"))[:7000])
    message = f"{tar}: was cut at byte 7000: 256 of 600 bytes of 'c.jpg' are missing; of its samples, the last whole one is 'b'"

    for _ in range(2):
        with pytest.warns(ShardWarning, match=f"^{re.escape(message)}$"):
            assert [key for key, _ in by_foveal(tar)] == ["a", "b"]


@pytest.mark.parametrize(
    ("length", "told", "keys"),
    [
        (6144, "the last one is 'b', taken for whole because all before it have the same members", "ab"),
        (4808, "'b' is left out because it may lack members, the last whole one is 'a'", "a"),
    ],
)
def test_a_cut_between_two_members(tmp_path, length, told, keys):
    """The warning names a sample that is left out, and one that counts as whole without a proof."""
    tar = tmp_path / "t.tar"
    tar.write_bytes(tar_bytes(samples("abc"))[:length])
    message = f"{tar}: was cut at byte {length}: its end mark is missing; of its samples, {told}"

    with pytest.warns(ShardWarning, match=f"^{re.escape(message)}$"):
        assert [key for key, _ in by_foveal(tar)] == list(keys)


def test_a_shard_cut_at_once_has_no_samples(tmp_path):
    """If no sample is complete, the warning says so."""
    tar = tmp_path / "t.tar"
    tar.write_bytes(tar_bytes(samples("a"))[:700])

    with pytest.warns(ShardWarning, match="of its samples, none is whole$"):
        assert len(Shards(tar)) == 0


def test_a_shard_that_is_a_pipe(tmp_path):
    """A pipe, a socket or a device is an error that says what to do, and nobody waits for a pipe's writer."""
    fifo, path = tmp_path / "fifo.tar", tmp_path / "socket.tar"
    os.mkfifo(fifo)
    reading, writing = os.pipe()
    os.write(writing, tar_bytes(samples("a")))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        kinds = {str(fifo): "pipe", f"/dev/fd/{reading}": "pipe", str(path): "socket", "/dev/null": "device"}
        for url, kind in kinds.items():
            message = f"{url}: is a {kind}, and shards are read at any position – save it to a file first"
            for use in (Shards, write_index):
                with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
                    use(url)
    os.close(reading)
    os.close(writing)


def test_a_shard_whose_first_bytes_cannot_be_read(tmp_path, monkeypatch):
    """An error of the disk is an error of the shard, which names it."""
    tar = make_tar(tmp_path / "t.tar", samples("a"))

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", fail)
    for use in (Shards, write_index):
        with pytest.raises(ShardError, match=f"^{re.escape(f'{tar}: cannot be read: Input/output error')}$"):
            use(tar)


def test_a_double_costs_its_sample(tmp_path):
    """Two members of one name are an error of their sample, which names them; other members and samples are read."""
    files = [*samples("a"), *samples("b"), ("b.CLS", b"9"), *samples("c")]
    tar = make_tar(tmp_path / "t.tar", files)
    reason = "has two members 'cls': pack it again with one – tar --append adds to a tar, it replaces nothing"
    shards = Shards(tar)

    with pytest.raises(SampleError, match=f"^{re.escape(f'{tar}: b: {reason}')}$") as caught:
        shards[1]
    assert (caught.value.member, caught.value.number_in_shard) == ("cls", 1)
    assert [shards[k].key for k in (0, 2)] == ["a", "c"]
    assert shards.read(1, ["jpg"]).members == {"jpg": dict(files)["b.jpg"]}
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("elsewhere/b.jpg", "is a symbolic link, without content: pack it again with tar --dereference"),
        (
            HardLink("elsewhere/b.jpg"),
            "is a hard link to a file that does not stand before it in the tar: pack it again with tar --hard-dereference",
        ),
    ],
)
def test_a_link_to_elsewhere_costs_its_sample(tmp_path, link, reason):
    """The error says that the member is a link, and how to pack it."""
    tar = make_tar(tmp_path / "t.tar", [*samples("a"), ("b.jpg", link), ("b.cls", b"1"), *samples("c")])

    for _ in range(2):  # the second time by the index in the cache
        shards = Shards(tar)
        with pytest.raises(SampleError, match=f"^{re.escape(f'{tar}: b: jpg member {reason}')}$"):
            shards[1]
        assert [shards[0].key, shards.read(1, ["cls"]).members, shards[2].key] == ["a", {"cls": b"1"}, "c"]
    with pytest.raises(ShardError, match=r"t\.tar: b: no index was written: jpg member is a "):
        write_index(tar)


def test_hard_links_are_read(tmp_path):
    """Hard links are read wherever in the tar their target is, also several links to one file."""
    files = [
        ("a.jpg", b"A" * 700),
        ("b.jpg", HardLink("a.jpg")),
        ("b.cls", b"1"),
        ("b.png", HardLink("a.jpg")),
    ]
    tar = make_tar(tmp_path / "t.tar", [*files, ("c.jpg", HardLink("b.png"))])

    expected = [
        ("a", [("jpg", b"A" * 700)]),
        ("b", [("jpg", b"A" * 700), ("cls", b"1"), ("png", b"A" * 700)]),
        ("c", [("jpg", b"A" * 700)]),
    ]
    assert by_foveal(tar) == expected
    write_index(tar)
    assert by_foveal(tar) == expected


DAMAGED = {
    "is an empty file, not a tar": b"",
    "is not a tar: there is no tar header at its start": b"<html>503 Slow Down</html>" * 100,
    "is a damaged gzip file: ": gzip.compress(tar_bytes(samples("x")))[:-8] + bytes(8),
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_a_damaged_shard_costs_itself(tars, tmp_path, reason):
    """A file that is no shard gives a warning each time, and the others are read; if it is the only one, it is an error."""
    bad = tmp_path / "bad.tar"
    bad.write_bytes(DAMAGED[reason])
    for _ in range(2):
        with pytest.warns(ShardWarning, match=f"^{re.escape(f'{bad}: {reason}')}.*; nothing of it is read$"):
            shards = Shards([tars[0], bad, tars[2]])
        assert shards.counts.tolist() == [2, 0, 3]
        assert [sample.key for sample in shards] == list("abcde")
        assert list(shards.damaged) == [str(bad)]
    with pytest.raises(ShardError, match=f"^{re.escape(f'{bad}: {reason}')}"):
        Shards(bad)
    assert Shards(tars).damaged == {}


def test_a_missing_shard_is_no_damage(tars, tmp_path):
    """A shard that cannot be opened is an error, because it may be there again later."""
    with pytest.raises(ShardError, match=r"none\.tar: cannot be opened: No such file or directory$"):
        Shards([*tars, tmp_path / "none.tar"])


def test_bytes_behind_the_end_mark_are_told_of_every_time(tmp_path):
    """Of two tars joined by cat, the first is read, and each time a warning reports the rest."""
    second = tar_bytes(samples("cd"))
    tar = tmp_path / "t.tar"
    tar.write_bytes(tar_bytes(samples("ab")) + second)
    message = f"{tar}: goes on behind its end mark: its last {len(second):,} bytes are not read"

    def keys():
        with pytest.warns(ShardWarning, match=f"^{re.escape(message)}") as caught:
            found = [key for key, _ in by_foveal(tar)]
        assert len(caught) == 1
        return found

    assert [keys(), keys()] == [["a", "b"]] * 2
    index = write_index(tar)
    assert keys() == ["a", "b"]
    text = index.read_bytes()
    index.write_bytes(text[: text.index(b"# foveal")])  # as another tool would have written it
    assert write_index(tar).read_bytes() == text[: text.index(b"# foveal")]
    assert keys() == ["a", "b"]


def test_an_index_of_an_older_version_is_checked(tmp_path):
    """An old index that groups samples differently is ignored; others are used without a warning."""
    tar = make_tar(tmp_path / "t.tar", [("d/._a.jpg", b"x"), ("d/a.jpg", b"1"), ("d/b.jpg", b"2")])
    stamp = f"# foveal size={tar.stat().st_size} mtime_ns={tar.stat().st_mtime_ns}\n"
    lines = "jpg 1536 1 d/a.jpg\njpg 2560 1 d/b.jpg\n"
    index = tmp_path / "t.idx"
    index.write_text(f"v1.2 3\n_a.jpg 512 1 d/._a.jpg\n{lines}{stamp}")

    with pytest.warns(ShardWarning, match="does not agree with its tar: run `foveal index`"):
        assert [key for key, _ in by_foveal(tar)] == ["d/a", "d/b"]

    tar = make_tar(tmp_path / "t.tar", [("d/a.jpg", b"1"), ("d/b.jpg", b"2")])
    stamp = f"# foveal size={tar.stat().st_size} mtime_ns={tar.stat().st_mtime_ns}\n"
    index.write_text(f"v1.2 2\njpg 512 1 d/a.jpg\njpg 1536 1 d/b.jpg\n{stamp}")
    assert [key for key, _ in by_foveal(tar)] == ["d/a", "d/b"]


def test_a_folder_is_no_shard(tmp_path):
    """A folder is refused, with what to write instead."""
    hint = f"it is a folder – name the shards in it, such as '{tmp_path}/*.tar'; `foveal pack` writes images of a folder to shards"
    with pytest.raises(ShardError, match=re.escape(f"cannot be opened: {hint}")):
        Shards(tmp_path)
