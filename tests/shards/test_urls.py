import re
import warnings
from pathlib import Path

import pytest

from foveal.shards import ShardError, Shards, expand_urls

with warnings.catch_warnings():  # what webdataset imports is old in places
    warnings.simplefilter("ignore")
    from webdataset import shardlists


@pytest.mark.parametrize(
    "urls",
    ["a.tar", "train-{000000..000012}.tar", "{a,b}-{8..11}.tar::c.tar", "s3://bucket/{a..c}.tar", "x{}y.tar"],
)
def test_expands_as_webdataset_does(urls):
    """Braces and "::" are expanded as by webdataset."""
    assert expand_urls(urls) == shardlists.expand_urls(urls)


def test_takes_paths_and_lists():
    """Lists may have paths and patterns; order and repeats are kept."""
    assert expand_urls([Path("b.tar"), "a-{0..1}.tar", "b.tar"]) == ["b.tar", "a-0.tar", "a-1.tar", "b.tar"]


def test_many_that_are_joined():
    """A list that is longer than any name of a file is a list."""
    urls = [f"shards/{k:06d}.tar" for k in range(1000)]

    assert expand_urls("::".join(urls)) == urls


@pytest.mark.parametrize("host", ["[::1]", "[::1]:8000", "user:word@[2001:db8::7]:80", "[fe80::1%25eth0]"])
def test_addresses_of_ipv6(host):
    """An address in brackets is not taken apart, also beside others; brackets elsewhere are no address."""
    url = f"http://{host}/train-{{0..1}}.tar"
    urls = [f"http://{host}/train-{k}.tar" for k in range(2)]

    assert expand_urls(url) == urls
    assert expand_urls(f"a.tar::{url}::s3://bucket/b.tar::{url}") == [
        "a.tar",
        *urls,
        "s3://bucket/b.tar",
        *urls,
    ]
    assert expand_urls("http://h/a.tar::http://h/[b].tar") == ["http://h/a.tar", "http://h/[b].tar"]


def test_globs_are_sorted(tmp_path):
    """Matches of a glob are sorted, also after file: and braces."""
    for name in ("b-10.tar", "b-2.tar", "a.tar", "c.txt"):
        (tmp_path / name).touch()
    names = [str(tmp_path / name) for name in ("a.tar", "b-10.tar", "b-2.tar")]

    assert expand_urls(f"{tmp_path}/*.tar") == names
    assert expand_urls(f"file:{tmp_path}/*.tar") == [f"file:{name}" for name in names]
    assert expand_urls(f"{tmp_path}/{{b,a}}*.tar") == [*names[1:], names[0]]


def test_a_file_with_brackets_in_its_name_is_itself(tmp_path):
    """A name that looks like a glob but exists is that file."""
    file = tmp_path / "run[1].tar"
    file.touch()

    assert expand_urls(file) == [str(file)]


@pytest.mark.parametrize("name", ["a{1,2}.tar", "a{b.tar", "a::b.tar", "a{1..2}::b*.tar", "a\\b.tar"])
def test_a_file_whose_name_could_be_expanded_is_itself(tmp_path, monkeypatch, name):
    """The path of a file that exists is not expanded, however it is given; a pattern beside it still is."""
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    assert expand_urls(name) == [name]
    assert expand_urls([f"file:{tmp_path}/{name}", "c-{0..1}.tar"]) == [
        f"file:{tmp_path}/{name}",
        "c-0.tar",
        "c-1.tar",
    ]


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ([], "urls must name at least one shard, got []"),
        ("", "urls must not be empty, got ''; name a shard, such as 'train-{000000..000146}.tar'"),
        ("a.tar::", "urls must not be empty, got ''; name a shard, such as 'train-{000000..000146}.tar'"),
        ("a-{0..1.tar", "urls must have matching braces, got 'a-{0..1.tar'"),
        (
            "pipe:cat a.tar",
            "urls must be local paths or start with file:, s3://, gs://, http:// or https://, got 'pipe:cat a.tar'",
        ),
        (
            "ftp://h/a.tar",
            "urls must be local paths or start with file:, s3://, gs://, http:// or https://, got 'ftp://h/a.tar'",
        ),
    ],
)
def test_refuses_what_names_no_shard(urls, message):
    """An invalid pattern is refused with its value."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        expand_urls(urls)


def test_a_glob_must_match(tmp_path, monkeypatch):
    """A glob without a match is an error that names the folder."""
    monkeypatch.chdir(tmp_path)
    message = f"urls must match at least one file, got 'no-*.tar'; check the path, seen from the folder '{tmp_path}'"

    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        expand_urls("no-*.tar")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("missing-0.tar", "cannot be opened: No such file or directory"),
        ("file://host/a.tar", "a file: URL names this machine, not 'host': write file:///path"),
    ],
)
def test_a_url_that_cannot_be_opened_is_named(url, reason):
    """A missing shard is an error that names it."""
    with pytest.raises(ShardError) as caught:
        Shards(url)

    assert (caught.value.url, caught.value.key, caught.value.reason) == (url, None, reason)
