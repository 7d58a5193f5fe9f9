"""Small shards of real JPEG files, made for the tests."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture


@pytest.fixture
def write_shard(tmp_path: Path) -> Callable[..., str]:
    """Write samples to a shard and return its path."""

    def write(samples: list[Mapping[str, Any]], name: str = "s.tar") -> str:
        with ShardWriter(tmp_path / name) as writer:
            for sample in samples:
                writer.write(sample)
        return str(tmp_path / name)

    return write


@pytest.fixture
def small_shards(write_shard: Callable[..., str]) -> list[str]:
    """Two shards of 7 and 6 pictures of different sizes, labelled 0 to 12."""
    samples = [
        {"__key__": f"{k:03d}", "jpg": encode(picture(k, 60 + 7 * k, 90 + 5 * k)), "cls": k, "json": {"k": k}}
        for k in range(13)
    ]
    return [write_shard(samples[:7], "a.tar"), write_shard(samples[7:], "b.tar")]
