"""A warning points to the line of the script, however deep in Foveal its reason was found."""

from pathlib import Path

import pytest
import torch

from foveal.pipeline import Points, ZoomCollate, ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import ShardWarning, write_index
from tests.pipeline.making import encode, picture

JPEG = encode(picture(0, 40, 60))


def shard(write_shard) -> Path:
    return Path(write_shard([{"__key__": f"{k}", "jpg": JPEG, "json": b"{}"} for k in range(3)]))


def load(url, *fields):
    with ZoomLoader(str(url), UniformSampler(8), batch_size=2, fields=("image", *fields)) as loader:
        return list(loader)


def test_a_cut_shard(write_shard):
    url = shard(write_shard)
    url.write_bytes(url.read_bytes()[:-3000])

    with pytest.warns(ShardWarning, match="was cut at byte") as caught:
        load(url)
    assert [warning.filename for warning in caught] == [__file__]


def test_an_old_index(write_shard):
    url = shard(write_shard)
    write_index(url)
    with url.open("r+b") as tar:
        tar.truncate(url.stat().st_size + 10240)

    with pytest.warns(ShardWarning, match="put aside and worked out anew") as caught:
        load(url)
    assert [warning.filename for warning in caught] == [__file__]


def test_labels_that_are_nowhere(write_shard):
    with pytest.warns(UserWarning, match="json points is absent in all of 3 samples") as caught:
        load(shard(write_shard), Points("json:points"))
    assert [warning.filename for warning in caught] == [__file__]


def test_labels_that_are_not_warped():
    sample = {"image": torch.zeros(3, 40, 60, dtype=torch.uint8), "boxes": torch.tensor([[1.0, 2, 3, 4]])}

    with pytest.warns(UserWarning, match="boxes stays in the frame of the original images") as caught:
        ZoomCollate(UniformSampler(8))([sample])
    assert [warning.filename for warning in caught] == [__file__]
