import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from foveal.shards import ShardError, Shards, ShardWarning, write_index
from foveal.shards.index import Cache, find_index
from foveal.shards.index._idx_format import parse_entries
from tests.shards.index.dali import dali_index
from tests.shards.reading import by_foveal, by_webdataset, make_tar, open_files, samples, tar_bytes


@pytest.fixture
def tar(tmp_path):
    return make_tar(tmp_path / "t.tar", samples(["a", "b", "c"]))


def change(tar, content):
    """Replace the tar's content, with a new time."""
    tar.write_bytes(content)
    os.utime(tar, ns=(1, tar.stat().st_mtime_ns + 5_000_000_000))


def test_equals_dalis_own_index(data_dir, tmp_path):
    """The index of DALI's own shard is identical to DALI's."""
    tar = tmp_path / "train.tar"
    shutil.copyfile(data_dir / "shards" / "NVIDIA-DALI_extra-train_rebuilt.tar", tar)
    v11 = (data_dir / "shards" / "NVIDIA-DALI_extra-train.idx").read_bytes()
    v12 = (data_dir / "shards" / "NVIDIA-DALI_extra-v1.2.idx").read_bytes()

    ours = write_index(str(tar)).read_bytes()

    assert ours.splitlines()[:-1] == v12.splitlines()
    assert parse_entries(ours) == parse_entries(v12)
    assert [[e[:3] for e in line] for line in parse_entries(ours)] == [
        [e[:3] for e in line] for line in parse_entries(v11)
    ]


@pytest.mark.parametrize("name", ["NVIDIA-DALI_extra-train.idx", "NVIDIA-DALI_extra-v1.2.idx"])
def test_reads_by_dalis_own_index(data_dir, tmp_path, name):
    """With DALI's index beside it, of either version, a shard reads as by webdataset."""
    tar = tmp_path / "train.tar"
    shutil.copyfile(data_dir / "shards" / "NVIDIA-DALI_extra-train_rebuilt.tar", tar)
    shutil.copyfile(data_dir / "shards" / name, tmp_path / "train.idx")

    assert by_foveal(tar) == by_webdataset(tar)


def test_writes_beside_the_tar_and_reads_by_it(tar, tmp_path, monkeypatch):
    """A written index is used: the tar is not scanned again, and the cache is not filled."""
    path = write_index(tar)
    monkeypatch.setattr("foveal.shards.index._scan.walk", lambda *_: pytest.fail("walked again"))
    cache = tmp_path / "cache"

    assert path == tmp_path / "t.idx"
    assert by_foveal(tar, cache_dir=cache) == by_webdataset(tar)
    assert not cache.exists()


def test_a_fresh_index_is_left_alone(tar):
    """Writing again does not change a current index, unless forced."""
    path = write_index(tar)
    path.write_bytes(path.read_bytes().replace(b"cls", b"CLS"))
    marked = path.read_bytes()

    assert write_index(tar).read_bytes() == marked
    assert write_index(f"file://{tar}", force=True).read_bytes() != marked


def test_a_fresh_index_of_dali_is_left_alone(tar):
    """A current index that DALI's tool wrote is not replaced."""
    text = dali_index(tar).read_bytes()

    assert write_index(tar).read_bytes() == text


def test_a_fresh_index_of_dali_is_compared_with_all_headers(tmp_path):
    """An index that was copied beside a later tar of the same size is ignored, although the first and last members agree."""
    tar = make_tar(tmp_path / "t.tar", [("a.cls", b"3"), ("b.cls", b"4"), ("b.txt", b"b"), ("c.cls", b"5")])
    index = dali_index(tar)
    assert by_foveal(tar) == by_webdataset(tar)

    make_tar(tar, [("a.cls", b"3"), ("b.cls", b"412"), ("b.txt", b"bcd"), ("c.cls", b"5")])
    os.utime(index, ns=(later := tar.stat().st_mtime_ns + 10**9, later))
    with pytest.warns(ShardWarning, match=r"t\.idx' does not agree with its tar"):
        assert by_foveal(tar) == by_webdataset(tar)


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("version", ["v1.1", "v1.2"])
def test_takes_over_an_index_with_gaps_and_spaces(tmp_path, tar_format, version):
    """An index with long names, which have headers of their own, and with spaces is read."""
    tar = make_tar(tmp_path / "t.tar", samples(["my dir/a b", "é" * 150]), tar_format)
    dali_index(tar, version)

    assert by_foveal(tar) == by_webdataset(tar)


def test_names_in_octal_are_not_believed(tmp_path):
    r"""If DALI's tool wrote é as \303\251, the names are read from the tar."""
    tar = make_tar(tmp_path / "t.tar", samples(["é"]))
    index = dali_index(tar)
    index.write_bytes(index.read_bytes().replace("é".encode(), rb"\303\251"))

    assert by_foveal(tar) == by_webdataset(tar)


def test_the_cache_keeps_what_was_worked_out(tar, tmp_path, monkeypatch):
    """Without an index the tar is scanned once, and nothing is written beside it."""
    expected = by_webdataset(tar)
    assert by_foveal(tar, cache_dir=tmp_path / "cache") == expected
    monkeypatch.setattr("foveal.shards.index._scan.walk", lambda *_: pytest.fail("walked again"))

    assert by_foveal(tar, cache_dir=tmp_path / "cache") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "t.tar"]


def test_the_cache_is_by_default_the_users(tar, tmp_path, monkeypatch):
    """The cache is in XDG_CACHE_HOME, else in ~/.cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert len(Shards(tar)) == 3
    assert len(list((tmp_path / "x" / "foveal").iterdir())) == 1

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Cache.at(None).folder == tmp_path / "home" / ".cache" / "foveal"


def test_without_a_home_indexes_stay_in_memory(tar, monkeypatch):
    """If the system knows no folder of the user's, nothing is kept."""

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert by_foveal(tar, cache_dir=None) == by_webdataset(tar)


def test_a_cache_that_cannot_be_written_is_done_without(tar, tmp_path):
    """Without a writable cache, the index stays in memory, without a warning."""
    (tmp_path / "file").touch()

    assert by_foveal(tar, cache_dir=tmp_path / "file" / "cache") == by_webdataset(tar)


@pytest.mark.parametrize(
    "content",
    [
        tar_bytes(samples(["a", "b", "c"])),  # touched
        tar_bytes(samples(["a", "b", "c", "d"])),  # appended to
        tar_bytes(samples(["x", "y"], size=10)),  # replaced
        tar_bytes(samples(["c", "b", "a"])),  # replaced, of the same size
    ],
)
@pytest.mark.parametrize("write", [write_index, dali_index])
def test_a_stale_index_is_put_aside(tar, content, write):
    """If the tar has changed, the index beside it is ignored and not changed, and one warning says so."""
    before = write(tar).read_bytes()
    change(tar, content)
    index = tar.with_suffix(".idx")
    message = (
        f"1 index file(s) beside a tar put aside and worked out anew, the first: {str(index)!r} "
        "was written for another state of its tar: run `foveal index` on the shards to replace them"
    )

    with pytest.warns(ShardWarning, match=f"^{re.escape(message)}$"):
        assert by_foveal(tar) == by_webdataset(tar)
    assert by_foveal(tar) == by_webdataset(tar)  # from the cache, without a word
    assert index.read_bytes() == before
    assert write_index(tar).read_bytes() != before


def test_a_stale_cache_is_renewed(tar, tmp_path):
    """If the tar has changed, the index in the cache is replaced."""
    by_foveal(tar)
    change(tar, tar_bytes(samples(["x", "y"])))

    assert by_foveal(tar) == by_webdataset(tar)


@pytest.mark.parametrize(
    ("change_index", "complaint"),
    [
        (
            lambda text: b"\x89PNG" + text,
            "is unreadable: line 1 must be 'v1.1' or 'v1.2' and the number of samples",
        ),
        (
            lambda text: text[: len(text) // 2],
            "is unreadable: 3 samples are announced, there are 2 lines of them",
        ),
        (lambda text: text.replace(b" 512 ", b" 1024 "), "does not agree with its tar"),
        (lambda text: text.replace(b" 600 ", b" 601 "), "does not agree with its tar"),
        (lambda text: text.replace(b"c.", b"d."), "does not agree with its tar"),
        (
            lambda text: b"v1.2 2\n" + b"\n".join(text.split(b"\n")[1:3]) + b"\n",
            "does not agree with its tar",
        ),
        (lambda text: text.replace(b"a.jpg", b"README"), "is unreadable: line 2 is not made of extension,"),
        (lambda _: b"v1.2 0\n", "does not agree with its tar"),
        (lambda _: b"v1.1 1\njpg 512 600\n", "does not agree with its tar"),
    ],
)
def test_an_index_that_does_not_fit_is_put_aside(tar, change_index, complaint):
    """Whatever is wrong with an index, the samples are right."""
    index = dali_index(tar)
    index.write_bytes(change_index(index.read_bytes()))

    with pytest.warns(ShardWarning, match=re.escape(f"{str(index)!r} {complaint}")):
        assert by_foveal(tar) == by_webdataset(tar)


def test_an_index_that_cannot_be_opened_is_put_aside(tar):
    """A folder with the name of the index is ignored."""
    tar.with_suffix(".idx").mkdir()

    with pytest.warns(ShardWarning, match=r"t\.idx' cannot be read: Is a directory"):
        assert by_foveal(tar) == by_webdataset(tar)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            tar_bytes(samples(["a b"])),
            "{tar}: a b: no index was written: its format cannot hold names with white space",
        ),
        (
            tar_bytes(samples(["a"]))[:800],
            "{tar}: a: was cut at byte 800: 312 of 600 bytes of 'a.jpg' are missing: no index was written",
        ),
        (b"\x1f\x8b123", "{tar}: is gzip-compressed, and an index is of plain tars: unpack it first"),
        (b"", "{tar}: is an empty file, not a tar"),
    ],
)
def test_writes_no_index_that_would_mislead(tmp_path, content, message):
    """An index that DALI would misread is an error, and no file is written."""
    tar = tmp_path / "t.tar"
    tar.write_bytes(content)

    with pytest.raises(ShardError, match=f"^{re.escape(message.format(tar=tar))}$"):
        write_index(tar)
    assert list(tmp_path.iterdir()) == [tar]


def test_says_when_the_index_cannot_be_written(tar):
    """If the index cannot be written, the error names the path."""
    tar.with_suffix(".idx").mkdir()

    with pytest.raises(ShardError, match=r"t\.tar: its index '.*t\.idx' cannot be written: Is a directory"):
        write_index(tar, force=True)


def test_a_warm_start_reads_heads_only(tmp_path, monkeypatch):
    """With indexes, two thousand shards open without reading a tar or a whole index."""
    tars = [tmp_path / f"{k:04}.tar" for k in range(2000)]
    index = write_index(make_tar(tars[0], samples("a", size=1)))
    for tar in tars[1:]:
        tar.hardlink_to(tars[0])
        tar.with_suffix(".idx").hardlink_to(index)
    for name in ("_scan.walk", "_index.read_index", "_scan.parse_entries"):
        monkeypatch.setattr(f"foveal.shards.index.{name}", lambda *_, name=name: pytest.fail(name))

    shards = Shards(tars)

    assert len(shards) == 2000
    assert open_files(tmp_path) == 0


def test_finds_ours_by_head_and_tail(tar):
    """find_index returns a file without reading all of it."""
    path = write_index(tar)

    found = find_index(str(tar), Cache.at(None))

    assert (found.count, found.index, found.complaint) == (3, path, None)


def test_an_index_that_is_a_pipe(tar, tmp_path):
    """A pipe in the place of an index is not read, which would wait for its writer; the warning names it, and writing replaces it."""
    os.mkfifo(tmp_path / "t.idx")
    with pytest.warns(ShardWarning, match=r"/t\.idx' cannot be read: Not a regular file: run"):
        assert by_foveal(tar) == by_webdataset(tar)

    assert write_index(tar).is_file()


def test_a_pipe_in_the_cache(tar, tmp_path):
    """A pipe in the place of an index in the cache is replaced."""
    path = Cache(tmp_path).index_path(str(tar))
    os.mkfifo(path)

    assert by_foveal(tar, cache_dir=tmp_path) == by_webdataset(tar)
    assert path.is_file()
