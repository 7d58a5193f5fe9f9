"""What is installed is what stands in the folders."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import foveal

ROOT = Path(__file__).parents[1]


def test_version():
    """The version that is installed is the one in the source."""
    assert importlib.metadata.version("foveal") == foveal.__version__


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_four_folders(tmp_path):
    """hatchling leaves out what .gitignore names, without a word: nothing may be missing."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("foveal-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("foveal/")}
    tracked = subprocess.run(["git", "ls-files", "pipeline", "sampler", "shards", "tools"], cwd=ROOT, check=True, capture_output=True, text=True)  # fmt: skip

    assert packed == {
        f"foveal/{name}" for name in [*tracked.stdout.split(), "__init__.py", "_choices.py", "py.typed"]
    }
