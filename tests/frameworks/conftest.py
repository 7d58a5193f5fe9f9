"""Folders with the same shards, and warnings that frameworks may give."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Do not make errors of the frameworks' own warnings."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Path:
    """A folder with two shards of 20 pictures to train on and one of 12 to validate with, in ten classes."""
    folder = tmp_path_factory.mktemp("shards")
    for shard, first, count in (("train-000000", 0, 20), ("train-000001", 20, 20), ("val-000000", 40, 12)):
        with ShardWriter(folder / f"{shard}.tar") as writer:
            for k in range(first, first + count):
                jpeg = encode(picture(k, 60 + k, 90 + 2 * k))
                writer.write({"__key__": f"{k:03d}", "jpg": jpeg, "cls": k % 10})
    return folder


@pytest.fixture
def new_folder(shards, tmp_path) -> Callable[[], Path]:
    """Return a function that makes a new folder with copies of these shards."""
    numbers = itertools.count()
    return lambda: Path(shutil.copytree(shards, tmp_path / f"{next(numbers)}"))
