"""Lines that are slow, and lines on which nothing arrives any more."""

import re

import pytest

from foveal.shards import ShardError, Shards
from foveal.shards.remote import _remote
from tests.shards.remote.small_tar import TAR
from tests.shards.server import Files, Forward, serving


@pytest.fixture(params=["http", "s3"])
def line(request, hasty):
    """Return a server, the URL of a shard on it, and how it is read."""
    if request.param == "http":
        with serving(Files({"/t.tar": TAR})) as server:
            yield server, f"{server.url}/t.tar", {}
        return
    request.getfixturevalue("new_bucket")("shards")("t.tar", TAR)
    with serving(Forward(request.getfixturevalue("moto"))) as server:
        options = {"key": "key", "secret": "secret", "endpoint_url": server.url}
        yield server, "s3://shards/t.tar", {"storage_options": options}


def test_a_slow_line_is_no_failure(line, monkeypatch):
    """As long as something arrives, an answer may take longer than the limit, and is asked for once."""
    server, url, options = line
    with Shards(url, **options) as shards:
        wanted = shards[1].members
        server.requests.clear()
        monkeypatch.setattr(_remote, "TIMEOUT", 1.5)
        server.pauses = [0.5] * 4

        assert shards[1].members == wanted
        assert len(server.requests) == 1


def test_a_line_on_which_nothing_arrives_any_more(line, monkeypatch):
    """If an answer stops in the middle, it is asked for again; in the end the message says that nothing arrived."""
    server, url, options = line
    with Shards(url, **options) as shards:
        wanted = shards[1].members
        server.requests.clear()
        monkeypatch.setattr(_remote, "TIMEOUT", 0.2)
        server.pauses = [1.0]
        reason = "b: cannot be read in 6 attempts: nothing arrived for 0.2 s (6 times): try again when the server is well"

        with pytest.raises(ShardError, match=f"{re.escape(reason)}$"):
            shards[1]
        assert len(server.requests) == 6
        monkeypatch.undo()
        server.pauses = []
        assert shards[1].members == wanted
