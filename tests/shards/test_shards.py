import errno
import gzip
import multiprocessing
import os
import pickle
import re
import shutil
import threading

import numpy as np
import pytest

from foveal.shards import Sample, SampleError, ShardError, Shards, ShardWarning, write_index
from tests.shards.reading import (
    HardLink,
    by_foveal,
    by_webdataset,
    make_tar,
    open_files,
    samples,
    tar_bytes,
)


@pytest.fixture
def tars(tmp_path):
    """Return three shards of 2, 0 and 3 samples."""
    return [make_tar(tmp_path / f"{k}.tar", samples(keys)) for k, keys in enumerate(["ab", "", "cde"])]


def test_numbers_samples_through_all_shards(tars):
    """Samples are numbered through all shards, also from the end, and empty shards are allowed."""
    shards = Shards(tars)
    read = [shards[k] for k in range(5)]

    assert len(shards) == 5
    assert shards.counts.tolist() == [2, 0, 3]
    assert shards.counts.dtype == np.int64
    assert [sample.key for sample in read] == list("abcde")
    assert [sample.url for sample in read] == [str(tars[0])] * 2 + [str(tars[2])] * 3
    assert [shards[k] for k in range(-5, 0)] == list(shards) == read
    assert shards[np.int64(4)] == read[4]
    assert [shards.extensions(k) for k in range(-5, 0)] == [list(sample.members) for sample in read]


@pytest.mark.parametrize("index", [5, -6])
def test_there_is_no_sample_beyond(tars, index):
    """A number out of range is an error that gives the valid range."""
    with pytest.raises(IndexError, match=re.escape(f"index must be in [-5, 5), got {index}")):
        Shards(tars)[index]


def test_reads_some_members(tmp_path):
    """Members are named in lower case; missing ones are left out."""
    tar = make_tar(tmp_path / "t.tar", [("a.JPG", b"1"), ("a.seg.png", b"2"), ("a.cls", b"3")])

    assert Shards(tar).read(0, ["cls", "jpg", "txt"]) == Sample("a", str(tar), {"jpg": b"1", "cls": b"3"})
    assert Shards(tar).extensions(0) == list(Shards(tar)[0].members)


def test_describes_itself(tars):
    """The representation gives counts, not a list."""
    assert repr(Shards(tars)) == f"Shards(samples=5, shards=3, first={str(tars[0])!r})"


def test_every_real_shard_reads_as_webdataset_reads_it(data_dir):
    """Plain and compressed tars equal webdataset's reading, with and without an index in the cache."""
    paths = sorted(path for path in data_dir.glob("*/*") if path.name.endswith((".tar", ".tgz", ".tar.gz")))
    assert len([path for path in paths if path.suffix != ".tar"]) >= 2
    for path in paths:
        expected = by_webdataset(path)
        assert by_foveal(path) == expected, path
        assert by_foveal(path) == expected, path


def test_a_cut_shard_is_told_of_every_time(tmp_path):
    """Each time, a warning names the shard, the offset and the last complete sample; the samples before the cut are read."""
    tar = tmp_path / "t.tar"
    tar.write_bytes(tar_bytes(samples("abc"))[:7000])
    message = f"{tar}: was cut at byte 7000: 256 of 600 bytes of 'c.jpg' are missing; of its samples, the last whole one is 'b'"

    for _ in range(2):
        with pytest.warns(ShardWarning, match=f"^{re.escape(message)}$"):
            assert [key for key, _ in by_foveal(tar)] == ["a", "b"]


def test_a_shard_cut_at_once_has_no_samples(tmp_path):
    """If no sample is complete, the warning says so."""
    tar = tmp_path / "t.tar"
    tar.write_bytes(tar_bytes(samples("a"))[:700])

    with pytest.warns(ShardWarning, match="of its samples, none is whole$"):
        assert len(Shards(tar)) == 0


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


def test_notices_a_tar_that_changes(tars):
    """A shard that was replaced after opening is not read by the old offsets."""
    shards = Shards(tars)
    make_tar(tars[0], samples("xyz"))

    with pytest.raises(ShardError, match=r"0\.tar: has changed since it was opened: open it again$"):
        shards[0]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("looked_at", ["read", "key"])
def test_notices_a_tar_that_was_replaced_while_closed(tmp_path, packed, looked_at):
    """A shard that was replaced after its index was read, and before it is opened again, is not read by the old offsets."""
    tar = tmp_path / ("t.tar.gz" if packed else "t.tar")
    pack = gzip.compress if packed else bytes
    tar.write_bytes(pack(tar_bytes(samples("ab"))))
    shards = Shards(tar, cache_dir=tmp_path / "cache")
    getattr(shards, looked_at)(0)
    shards.close()
    (tmp_path / "new").write_bytes(pack(tar_bytes(samples("xyz"))))
    (tmp_path / "new").replace(tar)

    with pytest.raises(ShardError, match=r"t\.tar(\.gz)?: has changed since it was opened: open it again$"):
        shards[1]


def test_notices_a_tar_that_is_rewritten(tars):
    """A shard that is written to while it is open is not read by the old offsets; one that is replaced stays readable."""
    shards = Shards(tars)
    first, content = shards[0], tars[0].read_bytes()
    still_open = tars[0].rename(tars[0].with_suffix(".old"))
    tars[0].write_bytes(content[:512])
    assert shards[0] == first

    still_open.write_bytes(content[::-1])
    os.utime(still_open, ns=(0, 0))  # the clock of the file system may be coarse
    with pytest.raises(ShardError, match=r"0\.tar: has changed since it was opened: open it again$"):
        shards[0]


def test_notices_a_tar_that_shrinks(tars):
    """A tar that was shortened after its index was read is not read."""
    shards = Shards(tars)
    first = shards[0]
    os.truncate(tars[0], 800)

    assert first.members["jpg"]
    with pytest.raises(ShardError, match=r"0\.tar: has changed since it was opened: open it again$"):
        shards[0]


def test_outlives_its_cache(tars, tmp_path):
    """If the cache is emptied while shards are open, the index is computed again."""
    shards = Shards(tars, cache_dir=tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")

    assert [sample.key for sample in shards] == list("abcde")


def test_threads_share_one(tmp_path):
    """Many threads read the right bytes while files are opened and closed."""
    tars = [make_tar(tmp_path / f"{k}.tar", samples([f"{k}a", f"{k}b"], size=50)) for k in range(150)]
    shards, wrong = Shards(tars), []
    expected = list(shards)

    def read(step):
        wrong.extend(k for n in range(300) if shards[k := n * step % 300] != expected[k])

    threads = [threading.Thread(target=read, args=(step,)) for step in (1, 7, 119, 299)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_descriptors_are_few_and_do_not_leak(tmp_path):
    """At most 64 files are open, and none after close or after the last reference is gone."""
    tars = [make_tar(tmp_path / f"{k}.tar", samples("a", size=1)) for k in range(100)]

    with Shards(tars) as shards:
        assert len(list(shards)) == 100
        assert open_files(tmp_path) == 64
    assert open_files(tmp_path) == 0
    assert shards[0].key == "a"
    assert open_files(tmp_path) == 1
    del shards
    assert open_files(tmp_path) == 0


def test_too_many_open_files(tars, monkeypatch):
    """If the process may not open more, the error names the shard."""
    shards = Shards(tars)

    def refuse(_number: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "dup", refuse)
    with pytest.raises(
        ShardError, match=rf"{re.escape(shards.urls[0])}: cannot be opened: Too many open files$"
    ):
        shards.read(0)


def test_pickles_without_descriptors(tars, tmp_path):
    """A pickled copy reads the same, and has no open files."""
    shards = Shards(tars)
    expected = list(shards)
    before = open_files(tmp_path)
    copy = pickle.loads(pickle.dumps(shards))

    assert open_files(tmp_path) == before > 0
    assert list(copy) == expected


def test_survives_a_fork(tars):
    """Parent and children read through inherited descriptors at the same time."""
    shards = Shards(tars)
    expected = list(shards)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_read_often, args=(shards, expected)) for _ in range(2)]
    for child in children:
        child.start()
    _read_often(shards, expected)
    for child in children:
        child.join()

    assert [child.exitcode for child in children] == [0, 0]


def _read_often(shards, expected):
    for _ in range(200):
        if list(shards) != expected:
            os._exit(1)


def test_many_stale_indexes_make_one_warning(tars):
    """Many stale indexes, as in a copied data set, give one warning."""
    for tar in tars:
        write_index(tar)
        os.utime(tar, ns=(1, 1))

    with pytest.warns(ShardWarning) as caught:
        Shards(tars)
    assert [str(warning.message)[:15] for warning in caught] == ["3 index file(s)"]
