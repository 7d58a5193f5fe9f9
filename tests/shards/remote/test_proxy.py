"""Proxies from environment variables."""

import re

import pytest

from foveal.shards import ShardError, Shards
from foveal.shards.remote._proxy import proxy_of
from foveal.shards.remote._retry import LastingError
from tests.shards.reading import samples, tar_bytes
from tests.shards.server import Files, serving

TAR = tar_bytes(samples("abc"))
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Proxying:
    """A proxy for a host that does not exist."""

    def __init__(self, host):
        self.host, self.files = host, Files({"/t.tar": TAR})

    def __call__(self, method, path, headers):
        if not path.startswith(f"http://{self.host}/"):
            return 502, {}, b""
        return self.files(method, path.removeprefix(f"http://{self.host}"), headers)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_shards_come_through_the_proxy(name, monkeypatch, hasty):
    """Shards are read through the proxy, which alone knows the host."""
    with serving(Proxying("shards.invalid")) as proxy:
        monkeypatch.setenv(name, f"http://user:secret@127.0.0.1:{proxy.server_port}")
        shards = Shards("http://shards.invalid/t.tar")

        assert [sample.key for sample in shards] == ["a", "b", "c"]
        assert {request.path for request in proxy.requests} >= {"http://shards.invalid/t.tar"}


def test_a_proxy_that_does_not_answer_is_named(monkeypatch, hasty):
    """If the proxy does not respond, the error names it without its password."""
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")
    told = r"cannot be read in 6 attempts: Client\w+: .* through the proxy http://127\.0\.0\.1:9 \(6 times\)"
    with pytest.raises(ShardError, match=told) as caught:
        Shards("http://shards.invalid/t.tar")
    assert "secret" not in str(caught.value)


def test_a_proxy_that_refuses_is_named(monkeypatch, hasty):
    """If the proxy refuses, the error names the proxy, not the server."""
    with serving(lambda *_: (407, {}, b"")) as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.server_port}")
        told = f"cannot be read: HTTP 407 .*through the proxy http://127.0.0.1:{proxy.server_port}$"
        with pytest.raises(ShardError, match=told):
            Shards("http://shards.invalid/t.tar")


def test_hosts_without_a_proxy(monkeypatch, hasty):
    """NO_PROXY is respected, with and without a port."""
    with serving(Files({"/t.tar": TAR})) as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        for hosts in ("127.0.0.1", f"localhost, 127.0.0.1:{server.server_port}", "*"):
            monkeypatch.setenv("no_proxy", hosts)
            assert len(Shards(f"{server.url}/t.tar")) == 3


def test_a_proxy_of_storage_options_comes_first(monkeypatch, hasty):
    """A proxy in storage_options overrides the environment."""
    with serving(Proxying("shards.invalid")) as proxy:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        options = {"proxy": f"http://127.0.0.1:{proxy.server_port}"}

        assert len(Shards("http://shards.invalid/t.tar", storage_options=options)) == 3


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://h/a.tar", None),
        ({"https_proxy": "http://p:1"}, "http://h/a.tar", None),
        ({"https_proxy": "http://p:1", "all_proxy": "http://q:1"}, "https://h/a.tar", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://h/a.tar", "http://p:1"),
        ({"http_proxy": ""}, "http://h/a.tar", None),
        ({"http_proxy": "http://p:1", "no_proxy": ".lan"}, "http://h.lan/a.tar", None),
        ({"http_proxy": "http://p:1", "no_proxy": "h"}, "http://user:word@h/a.tar", None),
    ],
)
def test_which_proxy(environment, url, proxy, monkeypatch):
    """The proxy is that of the scheme, else that of ALL_PROXY."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert proxy_of(url) == proxy


def test_a_proxy_of_another_kind(monkeypatch):
    """An unsupported kind of proxy is refused, with what to set instead."""
    monkeypatch.setenv("https_proxy", "socks5://user:secret@p:1080")
    message = (
        "cannot be read: the environment names the proxy socks5://p:1080, and only http:// proxies are supported: set "
        "https_proxy to one, or no_proxy to h"
    )
    with pytest.raises(LastingError, match=f"^{re.escape(message)}$"):
        proxy_of("https://h/a.tar")
    with pytest.raises(ShardError, match=re.escape(message)):
        Shards("https://h/a.tar")


def test_s3_goes_through_the_proxy(monkeypatch, hasty):
    """S3 requests go through the proxy, as the S3 client does by itself."""
    with serving(lambda *_: (404, {}, b"")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        options = {"key": "k", "secret": "s", "endpoint_url": "http://store.invalid"}
        with pytest.raises(ShardError, match=r"s3://bucket/t\.tar: does not exist"):
            Shards("s3://bucket/t.tar", storage_options=options)

        assert {request.path for request in proxy.requests} == {"http://store.invalid/bucket/t.tar"}
