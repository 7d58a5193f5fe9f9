import multiprocessing
import os
import pickle
import re
import sys
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveal.shards import ShardError, Shards, ShardWarning, expand_urls, write_index
from foveal.shards.remote import _remote
from tests.shards.reading import by_foveal, by_webdataset, make_tar, samples, tar_bytes
from tests.shards.server import FAULTS, SLOW, Forward, serving

TAR = tar_bytes(samples("abcde", exts=("jpg", "cls", "json")))


@pytest.fixture
def put(new_bucket):
    """Put an object into the bucket ``shards``."""
    return new_bucket("shards")


@pytest.fixture
def server(moto, put, hasty):
    put("t.tar", TAR)
    with serving(Forward(moto)) as server:
        yield server


@pytest.fixture
def options(server):
    return {"storage_options": {"key": "key", "secret": "secret", "endpoint_url": server.url}}


@pytest.fixture
def expected(tmp_path):
    path = tmp_path / "local.tar"
    path.write_bytes(TAR)
    return by_webdataset(path)


def test_reads_as_the_local_shard(server, options, expected):
    """Index and samples equal those of the same tar on disk: each sample is one range, a warm start one byte."""
    assert by_foveal("s3://shards/t.tar", **options) == expected
    server.requests.clear()
    shards = Shards("s3://shards/t.tar", **options)
    assert [(request.range, request.sent) for request in server.requests] == [("bytes=0-0", 1)]
    server.requests.clear()
    assert list(shards[1].members.items()) == expected[1][1]
    assert [(request.status, request.sent) for request in server.requests] == [(206, 3 * 600 + 2 * 936)]


def test_whole_copies(server, options, expected, tmp_path):
    """With room for copies each shard is downloaded once."""
    options |= {"cache_dir": tmp_path, "cache_size": "1MB"}
    assert by_foveal("s3://shards/t.tar", **options) == expected
    server.requests.clear()

    assert by_foveal("s3://shards/t.tar", **options) == expected
    assert server.sent == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_is_asked_for_again(server, options, expected, fault, monkeypatch):
    """After any single temporary failure of each request, the bytes are right."""
    if fault == "slow":
        monkeypatch.setattr(_remote, "TIMEOUT", SLOW / 2)
        server.faults = ["slow", None, None, None, "slow"]
    else:
        server.faults = [fault, None] * 12

    assert by_foveal("s3://shards/t.tar", **options) == expected


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.sampled_from([fault for fault in FAULTS if fault not in ("slow", "close")]), max_size=5),
        max_size=12,
    ),
    st.sampled_from([None, "1MB"]),
)
def test_any_schedule_of_failures_gives_the_same_bytes(server, options, expected, schedule, size):
    """Up to five failures in a row change nothing."""
    server.faults = [fault for run in schedule for fault in [*run, None]]

    with TemporaryDirectory() as cache:
        assert by_foveal("s3://shards/t.tar", cache_dir=cache, cache_size=size, **options) == expected


def test_says_what_was_tried(server, options):
    """Each attempt is one request: the client does not retry by itself."""
    shards = Shards("s3://shards/t.tar", **options)
    server.faults = ["503", "shorter", "503", "503", "503", "503"]
    server.requests.clear()
    reason = (
        "cannot be read in 6 attempts: HTTP 503 SlowDown (5 times), a body of 1836 instead of 3672 bytes (1 times): "
        "try again when the server is well"
    )

    with pytest.raises(ShardError, match=f"^{re.escape(f's3://shards/t.tar: b: {reason}')}$"):
        shards[1]
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://shards/none.tar", "does not exist: HTTP 404 NoSuchKey"),
        ("s3://none/t.tar", "does not exist: HTTP 404 NoSuchBucket"),
        ("s3://shards/empty.tar", "is an empty file, not a tar"),
    ],
)
def test_what_does_not_pass_is_said_at_once(server, put, options, url, reason):
    """A missing shard is requested once."""
    put("empty.tar", b"")
    with pytest.raises(ShardError) as caught:
        Shards(url, **options)

    assert (caught.value.url, caught.value.key, caught.value.reason) == (url, None, reason)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["s3://shards/t.tar", "s3://shards/*.tar"])
def test_an_unknown_option_is_named(server, options, url):
    """A misspelt option is found with the first request, and named."""
    message = (
        "storage_options must be arguments that fsspec's s3:// takes, got 'endpont_url' – is it misspelt?"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Shards(url, storage_options={**options["storage_options"], "endpont_url": server.url})


def test_a_bucket_is_no_shard(options):
    """A URL without an object says so, and does not blame the options."""
    message = "s3://shards: is a bucket, not an object in it: name one, or a pattern such as s3://bucket/train/*.tar"
    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        Shards("s3://shards", **options)


def test_missing_credentials_are_told(server, monkeypatch, tmp_path):
    """Without credentials, the error says where to put them."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(
        ShardError, match=r"^s3://shards/t\.tar: cannot be read: .*credentials: see storage_options$"
    ):
        Shards("s3://shards/t.tar", storage_options={"endpoint_url": server.url})


@pytest.mark.parametrize("content", [tar_bytes(samples("abxde", exts=("jpg", "cls", "json"))), TAR[:4000]])
def test_a_shard_that_changes_is_never_mixed(server, put, options, content):
    """Bytes of a changed shard are an error; opened again, it is read."""
    shards = Shards("s3://shards/t.tar", **options)
    assert shards[0].key == "a"
    put("t.tar", content)

    for number in (0, 4):
        with pytest.raises(
            ShardError, match=r"^s3://shards/t\.tar: .: has changed since its index was read: open it again$"
        ):
            shards[number]
    if len(content) == len(TAR):
        assert [sample.key for sample in Shards("s3://shards/t.tar", **options)] == list("abxde")


def test_takes_the_index_beside_the_shard(server, put, options, tmp_path):
    """An uploaded index saves reading the headers; one of another version is ignored."""
    tar = make_tar(tmp_path / "i.tar", samples("abc", exts=["jpg"], size=2_000_000))
    put("i.tar", tar.read_bytes())
    put("i.idx", write_index(tar).read_bytes())
    assert by_foveal("s3://shards/i.tar", cache_dir=tmp_path / "c", **options) == by_webdataset(tar)

    put("i.tar", TAR)
    with pytest.warns(
        ShardWarning, match=r"the first: 's3://shards/i\.idx' was written for another state of its tar"
    ):
        assert len(Shards("s3://shards/i.tar", cache_dir=tmp_path / "c", **options)) == 5


def test_globs_are_listed(server, put, options):
    """Keys of a bucket are matched and sorted, also after failures; braces need no listing."""
    for key in ("g/train-10.tar", "g/train-2.tar", "g/val-0.tar", "g/train-2.txt"):
        put(key, TAR)
    server.faults = ["503", "reset"]

    assert expand_urls("s3://shards/g/train-*.tar", **options) == [
        "s3://shards/g/train-10.tar",
        "s3://shards/g/train-2.tar",
    ]
    put("g/train-3.tar", TAR)
    assert len(Shards("s3://shards/g/train-[23].tar", **options)) == 10
    with pytest.raises(
        FileNotFoundError,
        match=re.escape(
            "urls must match at least one object, got 's3://shards/x-*.tar'; check bucket and prefix"
        ),
    ):
        expand_urls("s3://shards/x-*.tar", **options)


def test_pickles_and_reads_in_other_processes(server, options):
    """Children that were forked with open connections and the parent read at the same time."""
    shards = Shards("s3://shards/t.tar", **options)
    expected = list(shards)
    assert list(pickle.loads(pickle.dumps(shards))) == expected
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_read_often, args=(shards, expected)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in range(5):
        assert list(shards) == expected
    for child in children:
        child.join()

    assert [child.exitcode for child in children] == [0, 0]


def _read_often(shards, expected):
    for _ in range(5):
        if list(shards) != expected:
            os._exit(1)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [("gs://b/a.tar", "gcsfs", "gs"), ("s3://b/a.tar", "s3fs", "s3"), ("https://h/a.tar", "aiohttp", "http")],
)
def test_a_missing_package_is_named(monkeypatch, url, module, extra):
    """If fsspec lacks a package for a scheme, the error says what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"foveal.shards.remote._{extra}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ShardError) as caught:
        Shards(url)
    assert caught.value.reason == f"needs a package that is not installed: pip install 'foveal[{extra}]'"
