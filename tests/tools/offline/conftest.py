"""Shards to zoom."""

import pytest

from tests.tools.offline.zooming import write_originals


@pytest.fixture
def urls(tmp_path):
    return write_originals(tmp_path / "in")
