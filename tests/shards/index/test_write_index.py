"""Index files that can no longer be written."""

import os

import pytest

from foveal.shards import ShardError, UnindexableError, write_index
from tests.shards.index.dali import dali_index
from tests.shards.reading import make_tar, samples, tar_bytes


def replaced(tar, content):
    """Replace a tar by one that is newer."""
    tar.write_bytes(content)
    os.utime(tar, ns=(1, tar.stat().st_mtime_ns + 5_000_000_000))


@pytest.mark.parametrize(
    ("content", "kind"),
    [(tar_bytes(samples(["a b"])), UnindexableError), (tar_bytes(samples(["a"]))[:800], ShardError)],
)
def test_an_index_of_another_tar_does_not_stay(tmp_path, content, kind):
    """If the tar that has taken a tar's place can have no index, the old one is removed: DALI would read garbage by it."""
    tar = make_tar(tmp_path / "t.tar", samples("abc"))
    index = write_index(tar)
    replaced(tar, content)
    with pytest.raises(kind, match="no index was written"):
        write_index(tar)

    assert not index.exists()


def test_an_index_of_another_tool_stays(tmp_path):
    """An index that Foveal did not write is never removed."""
    tar = make_tar(tmp_path / "t.tar", samples("abc"))
    index = dali_index(tar)
    replaced(tar, tar_bytes(samples(["a b"])))
    with pytest.raises(UnindexableError):
        write_index(tar)

    assert index.exists()
