"""What the tests of the sampler ask for."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch


@pytest.fixture
def run_plain(tmp_path):
    """Run code in a fresh interpreter, without the shape checks of the tests: torch.compile cannot trace them."""

    def run(code):
        source = Path(__file__).parents[2] / "src"
        lines = f"import sys; sys.path.insert(0, {str(source)!r})\n{textwrap.dedent(code)}"
        done = subprocess.run(
            [sys.executable, "-c", lines],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture
def one_thread():
    """For many operations on small tensors: beside other work, threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
