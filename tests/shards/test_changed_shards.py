"""Shards that change after their index was written, or while they are read."""

import gzip
import os
import shutil

import pytest

from foveal.shards import ShardError, Shards, ShardWarning, write_index
from tests.shards.reading import (
    make_tar,
    samples,
    tar_bytes,
)


def test_states_tell_when_a_shard_was_changed(tars):
    """The state of each shard is its size and the time of its last change, whether its index is in the cache or not."""
    before = Shards(tars).states
    os.utime(tars[2], ns=(0, 5))

    size = len(tar_bytes(samples("cde")))
    for _ in range(2):  # the second time by the index in the cache
        assert Shards(tars).states == [*before[:2], f"size={size} mtime_ns=5"]
    assert before[2] != f"size={size} mtime_ns=5"


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


def test_many_stale_indexes_make_one_warning(tars):
    """Many stale indexes, as in a copied data set, give one warning."""
    for tar in tars:
        write_index(tar)
        os.utime(tar, ns=(1, 1))

    with pytest.warns(ShardWarning) as caught:
        Shards(tars)
    assert [str(warning.message)[:15] for warning in caught] == ["3 index file(s)"]
