import re

import pytest

from foveal.shards import ShardError, Shards, ShardWriter, write_index
from foveal.shards.naming import identity_of, index_url, is_packed, path_of


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("https://h/a.tar", "https://h/a.tar"),
        ("https://user:secret@h:80/a.tar?X-Amz-Signature=1&x-amz-date=2", "https://h:80/a.tar"),
        ("https://h/get?id=7&Signature=1&Expires=2&Key-Pair-Id=3&Policy=4", "https://h/get?id=7"),
        ("https://h/a.tar?GoogleAccessId=1&X-Goog-Signature=3#part", "https://h/a.tar"),
        ("s3://b/a?signature=1#2.tar", "s3://b/a?signature=1#2.tar"),
    ],
)
def test_identity_has_nothing_secret_and_nothing_that_changes(url, identity):
    """A shard's identity leaves out credentials and signatures; keys on S3 may have any characters."""
    assert identity_of(url) == identity


@pytest.mark.parametrize(
    ("url", "index"),
    [
        ("s3://b/a.tar", "s3://b/a.idx"),
        ("s3://b/a?.tar", "s3://b/a?.idx"),
        ("https://h/a.tar?id=7", "https://h/a.idx?id=7"),
        ("https://h/a.tgz", "https://h/a.tgz.idx"),
    ],
)
def test_an_index_lies_beside_its_shard(url, index):
    """The index of a remote shard is beside it."""
    assert index_url(url) == index


@pytest.mark.parametrize(
    ("url", "path", "packed"),
    [
        ("https://h/x/a%20b.tar.gz?id=7#part", "/x/a b.tar.gz", True),
        ("s3://b/a%20b#1?.tgz", "b/a%20b#1?.tgz", True),
        ("s3://b/a.tgz?versionId=1.tar", "b/a.tgz", True),
        ("gs://b/q?x.tgz/a.tar", "b/q?x.tgz/a.tar", False),
    ],
)
def test_the_path_in_a_url(url, path, packed):
    """A web server's path has percent-codes and ends at a query; an object's key has any characters."""
    assert path_of(url) == path
    assert is_packed(url) == packed


def test_an_index_is_not_written_to_a_server():
    """Writing an index to a server is refused."""
    with pytest.raises(
        ShardError,
        match=r"^s3://b/a\.tar: is remote, and this needs a local file: copy it to a",
    ):
        write_index("s3://b/a.tar")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("path", ShardWriter),
        ("cache_dir", lambda place: Shards("a.tar", cache_dir=place)),
    ],
)
@pytest.mark.parametrize("scheme", ["s3", "az", "https"])
def test_what_can_only_be_local_has_no_scheme(tmp_path, monkeypatch, name, write, scheme):
    """A URL is refused where the library writes to local files only, even if there is a folder named by its scheme."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{scheme}:/bucket").mkdir(parents=True)
    message = (
        f"{name} must be a local path, got '{scheme}://bucket/x' – only shards, and the folder that foveal zoom writes, may be "
        "elsewhere."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        write(f"{scheme}://bucket/x")


def test_what_can_only_be_local_may_be_a_url(tmp_path, monkeypatch):
    """A file: URL is the path that it names."""
    monkeypatch.chdir(tmp_path)
    with ShardWriter((tmp_path / "a.tar").as_uri()) as writer:
        writer.write({"__key__": "a", "cls": 0})

    assert len(Shards(tmp_path / "a.tar", cache_dir=(tmp_path / "cache").as_uri())) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "cache"}
