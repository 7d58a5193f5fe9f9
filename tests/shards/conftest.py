"""Tests of shards use a cache of their own, and retries without long waits; some read three small shards."""

import pytest

from tests.shards.reading import make_tar, samples
from tests.shards.remote.hurrying import hurry


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))


@pytest.fixture
def hasty(monkeypatch):
    """Retry after milliseconds."""
    hurry(monkeypatch)


@pytest.fixture
def tars(tmp_path):
    """Return three shards of 2, 0 and 3 samples."""
    return [make_tar(tmp_path / f"{k}.tar", samples(keys)) for k, keys in enumerate(["ab", "", "cde"])]
