"""No test touches the user's cache, or waits for a server longer than it must."""

import pytest

from foveal.shards.remote import _retry


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))


@pytest.fixture
def hasty(monkeypatch):
    """Ask again after milliseconds."""
    monkeypatch.setattr(_retry, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(_retry, "LONGEST_PAUSE", 0.01)
