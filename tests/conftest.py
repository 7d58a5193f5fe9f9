"""What every test may ask for."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images and shards; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("FOVEAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no real data at {folder}: set FOVEAL_DATA to the folder that holds photos/, coins/, shards/"
        )
    return folder
