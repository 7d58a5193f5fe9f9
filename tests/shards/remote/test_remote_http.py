import gzip
import multiprocessing
import os
import pickle
import re
import threading
import time
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveal.shards import ShardError, Shards, ShardWarning
from foveal.shards.remote import _remote
from tests.shards.reading import by_foveal, by_webdataset, make_tar, samples, tar_bytes
from tests.shards.remote.small_tar import TAR
from tests.shards.server import BREAKS, FAULTS, SLOW, Files, serving


def large_tar(count=6, size=3_000_000):
    """Return a tar whose members are too large to be read over."""
    return tar_bytes(
        [(f"{k}.{ext}", os.urandom(n)) for k in range(count) for ext, n in (("bin", size), ("cls", 2))]
    )


def test_reads_as_the_local_shard(server, expected):
    """Index and samples equal those of the same tar on disk, with and without a cached index."""
    for _ in range(2):
        assert by_foveal(f"{server.url}/t.tar") == expected


def test_every_real_shard_reads_the_same(data_dir, hasty):
    """Plain and compressed shards of other tools, with their indexes, equal webdataset's view."""
    paths = [path for path in data_dir.glob("*/*") if path.name.endswith((".tar", ".tgz", ".tar.gz"))]
    paths = [path for path in paths if path.stat().st_size < 2_000_000]
    beside = data_dir.glob("*/*.idx")
    with serving(Files({f"/{path.name}": path.read_bytes() for path in [*paths, *beside]})) as server:
        for path in paths:
            assert by_foveal(f"{server.url}/{path.name}") == by_webdataset(path), path


def test_requests_are_few_and_short(hasty, tmp_path):
    """For large members only headers are fetched for the index; a warm start reads one byte; a sample is one range."""
    content = large_tar()
    with serving(Files({"/t.tar": content})) as server:
        url = f"{server.url}/t.tar"
        Shards(url)
        assert server.sent < len(content) / 20
        assert not any(request.method == "HEAD" for request in server.requests)

        server.requests.clear()
        shards = Shards(url)
        assert [(r.range, r.sent) for r in server.requests] == [("bytes=0-0", 1)]

        server.requests.clear()
        sample = shards[3]
        assert [r.status for r in server.requests] == [206]
        assert (
            server.sent == 3_000_000 + (-3_000_000 % 512) + 512 + 2
        )  # one member, its padding, a header, the other
        server.requests.clear()
        assert shards.read(3, ["cls"]).members == {"cls": sample.members["cls"]}
        assert server.sent == 2
        assert shards.read(3, []).members == {}
        assert len(server.requests) == 1


def test_members_far_apart_are_read_apart(hasty):
    """The bytes between two members are fetched if that costs less than another request."""
    near = [("a.jpg", b"1"), ("a.json", b"2" * 9000), ("a.cls", b"3")]
    far = [("b.jpg", b"1"), ("b.json", b"2" * 2_000_000), ("b.cls", b"3")]
    with serving(Files({"/t.tar": tar_bytes(near + far)})) as server:
        shards = Shards(f"{server.url}/t.tar")
        for number, requests in ((0, 1), (1, 2)):
            server.requests.clear()
            assert shards.read(number, ["jpg", "cls"]).members == {"jpg": b"1", "cls": b"3"}
            assert len(server.requests) == requests


def test_small_members_are_read_over(hasty, tmp_path):
    """The headers of a thousand small files need a few requests."""
    tar = make_tar(tmp_path / "t.tar", samples([f"{k:04}" for k in range(500)], size=3000))
    with serving(Files({"/t.tar": tar.read_bytes()})) as server:
        assert len(Shards(f"{server.url}/t.tar")) == 500
        assert len(server.requests) < 12


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_is_asked_for_again(server, expected, fault, monkeypatch):
    """After any single temporary failure of each request, the bytes are right."""
    if fault == "slow":
        monkeypatch.setattr(_remote, "TIMEOUT", SLOW / 2)
        server.faults = ["slow", None, None, None, "slow"]
    else:
        server.faults = [fault, None] * 12

    assert by_foveal(f"{server.url}/t.tar") == expected
    assert len(server.requests) >= (
        10 if fault == "slow" else 14
    )  # eight were enough for a server that is well


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.sampled_from([fault for fault in FAULTS if fault != "slow"]), max_size=5), max_size=12
    ),
    st.sampled_from(["strong", "weak", "modified", "nothing"]),
    st.sampled_from([None, "1MB", 5000]),
)
def test_any_schedule_of_failures_gives_the_same_bytes(hasty, expected, schedule, tag, size):
    """Up to five failures in a row change nothing, with any kind of version tag."""
    with serving(Files({"/t.tar": TAR})) as server:
        server.site.tag = tag
        server.faults = [fault for run in schedule for fault in [*run, None]]
        with TemporaryDirectory() as cache:
            assert by_foveal(f"{server.url}/t.tar", cache_dir=cache, cache_size=size) == expected


def test_says_what_was_tried(server):
    """The final error names shard, sample, attempts, and the outcome of each."""
    shards = Shards(f"{server.url}/t.tar")
    server.faults = ["503", "503", "500", "503", "shorter", "503", None]
    reason = (
        "cannot be read in 6 attempts: HTTP 503 Service Unavailable (4 times), HTTP 500 Internal Server Error (1 times), "
        "a body of 1836 instead of 3672 bytes (1 times): try again when the server is well"
    )

    with pytest.raises(ShardError, match=re.escape(f"{server.url}/t.tar: b: {reason}")) as caught:
        shards[1]
    assert (caught.value.url, caught.value.key) == (f"{server.url}/t.tar", "b")
    assert pickle.loads(pickle.dumps(caught.value)).reason == reason
    assert shards[1].key == "b"


@pytest.mark.parametrize("fault", [*BREAKS])
def test_a_server_that_stays_ill_is_given_up(server, fault, monkeypatch):
    """A server that keeps failing is given up, and no wrong bytes are returned."""
    monkeypatch.setattr(_remote, "TIMEOUT", 0.1 if fault == "slow" else 30)
    shards = Shards(f"{server.url}/t.tar")
    server.faults = [fault] * 7

    with pytest.raises(
        ShardError, match=r"t\.tar: a: cannot be read in 6 attempts: .* \(6 times\): try again"
    ):
        shards[0]
    assert len(server.faults) == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none.tar", "does not exist: HTTP 404 Not Found"),
        ("/secret.tar", "access is refused: HTTP 403 Forbidden"),
        ("/odd.tar", "cannot be read: HTTP 418 I'm a Teapot"),
        ("/empty.tar", "is an empty file, not a tar"),
    ],
)
def test_what_does_not_pass_is_said_at_once(hasty, path, reason):
    """A missing or forbidden shard is requested once."""

    def site(method, asked, headers):
        special = {"/secret.tar": 403, "/odd.tar": 418}
        return (special[asked], {}, b"") if asked in special else files(method, asked, headers)

    files = Files({"/empty.tar": b""})
    with serving(site) as server:
        with pytest.raises(ShardError) as caught:
            Shards(f"{server.url}{path}")
        assert (caught.value.url, caught.value.key, caught.value.reason) == (
            f"{server.url}{path}",
            None,
            reason,
        )
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["/t.tar", "/t.tar.gz"])
def test_a_server_that_compresses(hasty, tmp_path, expected, name):
    """If a server compresses what it sends, that is said at once; a shard that is compressed itself may be called so."""

    def site(method, asked, headers):
        status, fields, body = files(method, asked, headers)
        return status, {**fields, "Content-Encoding": "gzip"}, body

    files = Files({name: gzip.compress(TAR)})
    reason = (
        "cannot be read: its server sends it compressed, with Content-Encoding 'gzip', though it was asked not to: have it send "
        "such files as they are"
    )
    with serving(site) as server:
        url = f"{server.url}{name}"
        if name.endswith(".gz"):
            assert by_foveal(url, cache_dir=tmp_path / "c") == expected
            return
        with pytest.raises(ShardError, match=f"^{re.escape(f'{url}: {reason}')}$"):
            Shards(url)
        assert len(server.requests) == 1


def test_nobody_there_is_told(hasty):
    """An address without a server is an error after all attempts."""
    with serving(Files({})) as server:
        url = f"{server.url}/t.tar"

    with pytest.raises(ShardError, match=r"in 6 attempts: ClientConnectorError: .* \(6 times\): try again"):
        Shards(url)


@pytest.mark.parametrize("tag", ["strong", "weak", "modified"])
@pytest.mark.parametrize(
    "content", [tar_bytes(samples("abxde", exts=("jpg", "cls", "json"))), TAR[:4000], TAR * 2]
)
def test_a_shard_that_changes_is_never_mixed(server, tag, content):
    """Bytes of a changed shard are an error, whether or not the server compares versions; opened again, it is read."""
    server.site.tag = tag
    url = f"{server.url}/t.tar"
    shards = Shards(url)
    assert shards[0].key == "a"
    server.site.replace("/t.tar", content)

    for number in (0, 4):
        with pytest.raises(
            ShardError, match=r"/t\.tar: .: has changed since its index was read: open it again$"
        ):
            shards[number]
    if len(content) == len(TAR):
        assert [sample.key for sample in Shards(url)] == list("abxde")


def test_a_shard_that_changes_while_it_is_indexed(server):
    """Headers of two versions of a shard never make one index."""
    server.site.files["/t.tar"] = large_tar(3)
    state, seen = server.site, []

    def site(method, path, headers):
        seen.append(path)
        if len(seen) == 4:
            state.replace("/t.tar", large_tar(3))
        return state(method, path, headers)

    server.site = site
    with pytest.raises(ShardError, match=r"has changed since its index was read: open it again$"):
        Shards(f"{server.url}/t.tar")


def test_a_signature_changes_nothing(server, tmp_path):
    """A URL with a new signature has the same cache entry; another file has another."""
    url, cache = f"{server.url}/t.tar", tmp_path / "c"
    for query in ("?X-Amz-Signature=abc&X-Amz-Expires=5", "?X-Amz-Signature=def", ""):
        Shards(url + query, cache_dir=cache, cache_size="1MB")[0]
    assert len(list(cache.glob("*.idx"))) == len(list(cache.glob("shards/*.tar"))) == 1
    Shards(url + "?file=2", cache_dir=cache)
    assert len(list(cache.glob("*.idx"))) == 2


def test_a_shard_that_was_cut_is_told_of(server):
    """A cut shard gives its complete samples, and a warning each time, as on disk."""
    server.site.files["/t.tar"] = TAR[:7000]

    for _ in range(2):
        with pytest.warns(ShardWarning, match=r"/t\.tar: was cut at byte 7000: .*the last whole one is 'a'$"):
            assert [key for key, _ in by_foveal(f"{server.url}/t.tar")] == ["a"]


def test_storage_options_reach_the_server(hasty):
    """Headers in storage_options are sent with each request."""
    files = Files({"/t.tar": TAR})

    def site(method, path, headers):
        return files(method, path, headers) if headers.get("Authorization") == "Bearer 1" else (401, {}, b"")

    with serving(site) as server:
        options = {"headers": {"Authorization": "Bearer 1"}}
        assert len(list(Shards(f"{server.url}/t.tar", storage_options=options))) == 5
        with pytest.raises(ShardError, match=r"access is refused: HTTP 401 Unauthorized$"):
            Shards(f"{server.url}/t.tar")


def test_many_shards_start_at_once(hasty):
    """Reading the versions of N shards takes much less than N round trips, and keeps their order."""
    files = Files({f"/{k}.tar": tar_bytes(samples([str(k)], size=1)) for k in range(64)})
    together, most, lock = 0, 0, threading.Lock()

    def site(*request):
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.02)
        with lock:
            together -= 1
        return files(*request)

    with serving(site) as server:
        shards = Shards(f"{server.url}/{{0..63}}.tar")
        assert [sample.key for sample in shards] == [str(k) for k in range(64)]
        server.requests.clear()
        Shards(shards.urls)
        assert len(server.requests) == 64

    assert most > 8


def test_threads_read_at_once(server):
    """Many threads read the right bytes through one instance."""
    shards, wrong = Shards(f"{server.url}/t.tar"), []
    expected = list(shards)

    def read(step):
        wrong.extend(k for n in range(25) if shards[k := n * step % 5] != expected[k])

    threads = [threading.Thread(target=read, args=(step,)) for step in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_pickles_without_connections(server):
    """A pickled copy reads the same, with the same options."""
    shards = Shards(f"{server.url}/t.tar", storage_options={"headers": {"X": "1"}})
    expected = list(shards)

    assert list(pickle.loads(pickle.dumps(shards))) == expected


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_reads_in_other_processes(server, method):
    """Forked and spawned children and the parent read at the same time."""
    shards = Shards(f"{server.url}/t.tar")
    expected = list(shards)
    context = multiprocessing.get_context(method)
    children = [context.Process(target=_read_often, args=(shards, expected)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in range(20):
        assert list(shards) == expected
    for child in children:
        child.join()

    assert [child.exitcode for child in children] == [0, 0]
    assert list(shards) == expected


def _read_often(shards, expected):
    for _ in range(20):
        if list(shards) != expected:
            os._exit(1)


def test_a_web_server_is_not_listed():
    """A glob over HTTP is refused, with what to write instead."""
    message = (
        "urls must not have * on a web server, which cannot be listed, got 'https://h/t-*.tar' – "
        "name the shards with braces, such as 'train-{000000..000146}.tar'"
    )

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Shards("https://h/t-*.tar")
