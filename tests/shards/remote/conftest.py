"""A small shard on a web server, and what webdataset reads of it."""

import pytest

from tests.shards.reading import by_webdataset
from tests.shards.remote.small_tar import TAR
from tests.shards.server import Files, serving


@pytest.fixture
def server(hasty):
    with serving(Files({"/t.tar": TAR})) as server:
        yield server


@pytest.fixture
def expected(tmp_path):
    path = tmp_path / "local.tar"
    path.write_bytes(TAR)
    return by_webdataset(path)
