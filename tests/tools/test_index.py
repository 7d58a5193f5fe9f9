import re

import pytest

from foveal.shards import ShardError, Shards, ShardWriter
from foveal.tools._index import index_shards


@pytest.fixture
def two_shards(tmp_path):
    for number, count in enumerate((3, 2)):
        with ShardWriter(tmp_path / f"some-{number}.tar") as writer:
            for sample in range(count):
                writer.write({"__key__": f"{sample:03d}", "cls": sample})
    return str(tmp_path / "some-{0..1}.tar")


def test_writes_an_index_beside_each(tmp_path, two_shards, capsys):
    """Each tar gets its index, and the counts are printed."""
    index_shards([two_shards])

    assert sorted(path.name for path in tmp_path.glob("*.idx")) == ["some-0.idx", "some-1.idx"]
    assert len(Shards(two_shards)) == 5
    assert "5 samples in 2 shards" in " ".join(capsys.readouterr().out.split())


def test_keeps_fresh_ones_unless_forced(tmp_path, two_shards):
    """A current index is kept; --force writes it again."""
    index_shards([two_shards])
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.idx")}

    index_shards([two_shards])
    assert {path: path.stat().st_mtime_ns for path in times} == times

    index_shards([two_shards], force=True)
    assert all(path.stat().st_mtime_ns > before for path, before in times.items())


def test_names_the_shard_that_is_no_tar(tmp_path):
    """A file that is no tar is an error that names it."""
    (tmp_path / "text.tar").write_text("no tar at all, but long enough to be looked at. " * 30)
    with pytest.raises(ShardError, match=re.escape("text.tar")):
        index_shards([str(tmp_path / "text.tar")])


def test_a_bad_shard_costs_itself(tmp_path, two_shards, capsys):
    """All other shards get their indexes; the error names the first bad one, and the others are printed."""
    for name in ("some-2.tar", "some-3.tar"):
        (tmp_path / name).write_text("no tar at all, but long enough to be looked at. " * 30)
    pattern = str(tmp_path / "some-{3..0}.tar")
    message = f"{tmp_path}/some-3.tar: is not a tar: there is no tar header at its start; and 1 more of 4 shards have none"
    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        index_shards([pattern])

    assert sorted(path.name for path in tmp_path.glob("*.idx")) == ["some-0.idx", "some-1.idx"]
    printed = capsys.readouterr().out
    assert "5 samples in 2 shards" in printed
    assert f"{tmp_path}/some-2.tar: is not a tar: there is no tar header at its start" in printed


def test_remote_shards_are_refused_without_looking(two_shards, monkeypatch, capsys):
    """Patterns on a server are not looked up to be refused; local shards beside them are indexed."""
    monkeypatch.setattr("foveal.shards.remote.Remote.glob", lambda *_: pytest.fail("asked the server"))
    message = "s3://bucket/*.tar: is remote, and this needs a local file: copy it to a local disk; and 1 more of 4 shards have none"
    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        index_shards([two_shards, "s3://bucket/*.tar", "https://h/a.tar"])

    assert "5 samples in 2 shards" in " ".join(capsys.readouterr().out.split())
