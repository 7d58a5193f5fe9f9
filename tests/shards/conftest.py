"""Tests of shards use a cache of their own, and retries without long waits."""

import pytest

from tests.shards.remote.hurrying import hurry


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))


@pytest.fixture
def hasty(monkeypatch):
    """Retry after milliseconds."""
    hurry(monkeypatch)
