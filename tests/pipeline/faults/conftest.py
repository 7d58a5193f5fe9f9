"""A shard of good samples."""

import pytest

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture


@pytest.fixture
def url(tmp_path) -> str:
    """Return a shard of twenty good samples of 20 × 30 pixels."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(20):
            label = {"cls": k, "json": {"boxes": [[5, 6, 3, 2]]}}
            writer.write({"__key__": f"{k:02d}", "jpg": encode(picture(k, 20, 30)), **label})
    return str(tmp_path / "s.tar")
