"""What every test may ask for."""

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images and shards; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("FOVEAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no real data at {folder}: set FOVEAL_DATA to the folder that holds photos/, coins/, shards/"
        )
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; FOVEAL_REQUIRE_GPU=1 makes that a failure instead."""
    if torch.cuda.is_available() or os.environ.get("FOVEAL_REQUIRE_GPU") == "1":
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(
                pytest.mark.skip(reason="no CUDA device: set FOVEAL_REQUIRE_GPU=1 to fail instead")
            )
