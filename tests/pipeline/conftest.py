"""Small shards of real JPEG files, made for the tests, and a small zoom."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from foveal.sampler import SaliencySampler
from foveal.shards import ShardWriter
from tests.pipeline.small_shards import write_small_shards


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
def small_shards(tmp_path: Path) -> list[str]:
    """Two shards of 7 and 6 pictures of different sizes, labelled 0 to 12."""
    return write_small_shards(tmp_path)


@pytest.fixture
def zoom() -> SaliencySampler:
    torch.manual_seed(0)
    return SaliencySampler((24, 32), temperature=0.2).requires_grad_(False)
