"""Fixtures for tests of the training."""

import pytest

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    """Return twenty labelled pictures of three classes."""
    path = tmp_path_factory.mktemp("shards") / "train.tar"
    with ShardWriter(path) as writer:
        for k in range(20):
            writer.write({"__key__": f"{k:03d}", "jpg": encode(picture(k, 50 + k, 60)), "cls": k % 3})
    return str(path)
