"""Shards read as one sequence of samples, also by threads, forks and copies."""

import errno
import multiprocessing
import os
import pickle
import re
import threading

import numpy as np
import pytest

from foveal.shards import Sample, ShardError, Shards
from tests.shards.reading import (
    by_foveal,
    by_webdataset,
    make_tar,
    open_files,
    samples,
)


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
