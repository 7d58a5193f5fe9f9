"""No test touches the user's cache, or waits for a server longer than it must."""

import pytest

from tests.shards.remote.hurrying import hurry


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))


@pytest.fixture
def hasty(monkeypatch):
    """Ask again after milliseconds."""
    hurry(monkeypatch)
